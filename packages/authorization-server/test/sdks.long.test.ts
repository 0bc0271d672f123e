import { type ChildProcess, execFile, fork, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls, { type ConnectionOptions, type Server } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { Browser, Page as BrowserPage } from 'playwright-core';
import { consent, typePassword } from '../../../test/browser/site.ts';
import { launchChromium, whyNoChromium } from '../../../test/support/chromium.ts';
import { EmptyFolder, registryAnswers } from '../../../test/support/empty-folder.ts';
import { FormBrowser, type Page } from '../../../test/support/form-browser.ts';
import { findProgram } from '../../../test/support/programs.ts';
import { freePorts } from '../../../test/support/services.ts';
import { selfSigned } from '../../issuer/test/support/self-signed.ts';
import type { AuthorizationServer } from '../src/index.ts';
import { startDemo, stopServers } from './support/demo-server.ts';
import { ALL_SCOPES, API, authorizationRequest, openBrowser, signIn } from './support/sign-in.ts';

/** SDKs with the packages that they need. */
const PACKAGES = [
  ...['passport-auth0@1.4.5', 'passport@0.7', 'express@5', 'express-session@1'],
  ...['@auth0/nextjs-auth0@4', 'next@15', 'react@19', 'react-dom@19'],
  ...['auth0@5.14', 'auth0-js@10', '@auth0/auth0-spa-js@2'],
];

/** Names without a port, which SDKs require: connections to them go to a port of this machine. */
const DOMAIN = 'tenant.example.com';
const APP_HOST = 'app.example.com';
const APP = `https://${APP_HOST}`;

interface Front {
  readonly port: number;
  readonly ca: string;
}

/** Also runs as source text in the process of the applications. */
function leadToFront(module: typeof tls, { port, ca }: Front): () => void {
  const { connect: direct } = module;
  module.connect = ((...args: unknown[]) => {
    const options = args[0] as ConnectionOptions;
    const isExampleHost =
      typeof options === 'object' && /\.example\.com$/.test(String(options.host));
    if (isExampleHost)
      args[0] = { ...options, servername: options.host, host: '127.0.0.1', port, ca };
    return (direct as (...all: unknown[]) => tls.TLSSocket).apply(module, args);
  }) as typeof tls.connect;
  return () => {
    module.connect = direct;
  };
}

/** Ends TLS for both names; the rest of a connection goes to the port of its name. */
async function startFront(ports: Record<string, number>): Promise<[Server, Front]> {
  const { key, cert } = selfSigned('*.example.com');
  const server = tls.createServer({ key, cert }, (socket) => {
    const target = connect(ports[String(socket.servername)] ?? 0, '127.0.0.1');
    socket.pipe(target).pipe(socket);
    socket.on('error', () => target.destroy());
    target.on('error', () => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return [server, { port: (server.address() as { port: number }).port, ca: cert }];
}

async function signInByForm(browser: FormBrowser, login: Page): Promise<Page> {
  const user = { username: 'alice@example.com', password: 'alice-demo' };
  const page = await browser.submit(login, 'form.fields', user);
  if (!page.url.includes('/u/consent/')) return page;
  return browser.submit(page, 'form.answers', { action: 'accept' });
}

const jsonOf = (page: Page) => JSON.parse(page.html.text) as Record<string, unknown>;

const online = await registryAnswers();

(online ? describe : describe.skip)(
  `an SDK of Auth0, unmodified${online ? '' : ': no answer from the npm registry'}`,
  () => {
    let folder: EmptyFolder;
    let server: AuthorizationServer;
    let front: [Server, Front];
    let apps: ChildProcess;
    let leadBack: () => void;

    beforeAll(async () => {
      folder = await EmptyFolder.make();
      // The optional ones are compilers, which only a build of Next needs.
      await folder.install(['--omit=optional', ...PACKAGES]);
      const [appPort] = (await freePorts(1)) as [number];
      server = await startDemo(
        ({ clients }) => {
          const [web, , spa] = clients;
          web!.callbacks.push(`${APP}/passport/callback`, `${APP}/next/callback`);
          web!.allowed_logout_urls.push(APP);
          spa!.callbacks.push(`${APP}/spa-js`, `${APP}/auth0-js`);
          spa!.allowed_logout_urls.push(`${APP}/spa-js`);
          spa!.web_origins.push(APP);
          spa!.grant_types.push('refresh_token', 'implicit');
        },
        { issuer: `https://${DOMAIN}/` },
      );
      front = await startFront({ [DOMAIN]: Number(new URL(server.url).port), [APP_HOST]: appPort });
      leadBack = leadToFront(tls, front[1]);
      const network = `import tls from 'node:tls';(${leadToFront})(tls, ${JSON.stringify(front[1])});`;
      await folder.write('network.mjs', network);
      const file = fileURLToPath(new URL('support/sdk-apps.mjs', import.meta.url));
      cpSync(file, join(folder.path, 'apps.mjs'));
      apps = fork(join(folder.path, 'apps.mjs'), {
        execArgv: ['--import', join(folder.path, 'network.mjs')],
        cwd: folder.path,
      });
      apps.send({
        domain: DOMAIN,
        origin: APP,
        port: appPort,
        clientId: 'contacts-web',
        clientSecret: 'contacts-web-demo-secret',
        scope: ALL_SCOPES,
        audience: API,
      });
      await once(apps, 'message');
    });
    afterAll(async () => {
      leadBack?.();
      apps?.kill();
      front?.[0].close();
      await stopServers();
      await folder?.remove();
    });

    test('passport-auth0 1.4 signs in, and gets the profile', async () => {
      const browser = new FormBrowser();
      const page = await signInByForm(browser, await browser.open(`${APP}/passport/login`));
      expect(jsonOf(page)).toEqual({
        id: 'auth0|alice',
        emails: [{ value: 'alice@example.com' }],
        hasRefreshToken: true,
      });
    });

    test('nextjs-auth0 4 signs in, refreshes and signs out', async () => {
      const browser = new FormBrowser();
      const before = jsonOf(await signInByForm(browser, await browser.open(`${APP}/next/login`)));
      expect(before.sub).toBe('auth0|alice');
      const { token } = jsonOf(await browser.open(`${APP}/next/refresh`));
      expect(decodeJwt(String(token)).scope).toBe(ALL_SCOPES);
      const after = jsonOf(await browser.open(`${APP}/next`));
      expect(after).toMatchObject({ sub: 'auth0|alice', refreshToken: expect.any(String) });
      expect(after.refreshToken).not.toBe(before.refreshToken);
      await browser.open(`${APP}/next/logout`);
      expect(jsonOf(await browser.open(`${APP}/next`))).toEqual({});
      expect((await browser.open(`${APP}/next/login`)).url).toContain('/u/login/');
    });

    test('auth0 5.14 exchanges a code, refreshes, asks for userinfo, revokes', async () => {
      const call = async (step: string, body: Record<string, string>) =>
        jsonOf(await new FormBrowser().open(`${APP}/node/${step}?${new URLSearchParams(body)}`));
      const request = authorizationRequest(server);
      const code = (await signIn(openBrowser(), request)).get('code') ?? '';
      const redirect_uri = 'http://localhost:3000/callback';
      const exchange = { code, redirect_uri, code_verifier: request.verifier, nonce: 'nonce-1' };
      const tokens = await call('code', exchange);
      expect(decodeJwt(String(tokens.id_token)).sub).toBe('auth0|alice');
      const refreshed = await call('refresh', { refresh_token: String(tokens.refresh_token) });
      expect(refreshed).toMatchObject({ id_token: expect.any(String), scope: ALL_SCOPES });
      const { access_token, refresh_token } = refreshed as Record<string, string>;
      expect(await call('userinfo', { token: access_token ?? '' })).toMatchObject({
        sub: 'auth0|alice',
        email: 'alice@example.com',
      });
      const spent = { refresh_token: refresh_token ?? '' };
      expect(await call('revoke', { token: spent.refresh_token })).toBeNull();
      const refused = await call('refresh', spent);
      expect(refused.error).toBe('Unknown or invalid refresh token.');
      expect(await call('machine', { audience: API })).toMatchObject({ scope: 'read:contacts' });
    });

    (whyNoChromium ? describe.skip : describe)(`in Chromium${whyNoChromium}`, () => {
      let browser: Browser;
      beforeAll(async () => {
        const rule = `MAP *.example.com 127.0.0.1:${front[1].port}`;
        browser = await launchChromium({ hostRules: rule });
      });
      afterAll(() => browser?.close());

      const openPage = async (path: string): Promise<BrowserPage> => {
        const context = await browser.newContext({ ignoreHTTPSErrors: true });
        const page = await context.newPage();
        await page.goto(APP + path);
        return page;
      };
      const signInOn = async (page: BrowserPage): Promise<void> => {
        await typePassword(page, 'alice');
        await consent({ web: APP }, page);
      };

      test('auth0-spa-js 2 signs in, renews in a frame and by refresh token, signs out', async () => {
        const page = await openPage('/spa-js');
        const options = {
          domain: DOMAIN,
          clientId: 'contacts-docs',
          authorizationParams: {
            redirect_uri: `${APP}/spa-js`,
            scope: 'openid profile email read:contacts',
            audience: API,
          },
        };
        const run = <Result>(body: string, change = {}) =>
          page.evaluate<Result>(`(async () => {
            const client = new auth0.Auth0Client(${JSON.stringify({ ...options, ...change })});
            ${body}
          })()`);
        const silently = 'return client.getTokenSilently({ cacheMode: "off" });';
        await run('void client.loginWithRedirect();');
        await signInOn(page);
        const user = await run<{ sub: string }>(
          'await client.handleRedirectCallback(); return client.getUser();',
        );
        expect(user.sub).toBe('auth0|alice');
        const token = await run<string>(silently);
        expect(decodeJwt(token)).toMatchObject({ azp: 'contacts-docs', sub: 'auth0|alice' });
        const refreshing = { useRefreshTokens: true, cacheLocation: 'localstorage' };
        await run('void client.loginWithRedirect();', refreshing);
        // The consent to offline access; for the rest it was given.
        await page.waitForURL(/\/u\/consent\//);
        await consent({ web: APP }, page);
        await run('await client.handleRedirectCallback();', refreshing);
        expect(decodeJwt(await run<string>(silently, refreshing)).azp).toBe('contacts-docs');
        expect(server.log()[0]?.steps.at(-1)?.type).toBe('sertft');
        const returnTo = JSON.stringify({ logoutParams: { returnTo: `${APP}/spa-js` } });
        await run(`void client.logout(${returnTo});`);
        await page.waitForURL(`${APP}/spa-js`);
        const error = run(`return client.getTokenSilently().catch(({ error }) => error);`);
        expect(await error).toBe('login_required');
      });

      test('auth0-js 10 signs in by a code, if the page makes the PKCE challenge', async () => {
        const page = await openPage('/auth0-js');
        const options = {
          domain: DOMAIN,
          clientID: 'contacts-docs',
          redirectUri: `${APP}/auth0-js`,
          responseType: 'code',
          scope: 'openid profile email read:contacts',
          audience: API,
        };
        const run = <Result>(body: string) =>
          page.evaluate<Result>(`new Promise((resolve, reject) => {
            const web = new auth0.WebAuth(${JSON.stringify(options)});
            const done = (error, result) => (error ? reject(error) : resolve(result));
            ${body}
          })`);
        const codeVerifier = randomBytes(32).toString('base64url');
        const codeChallenge = createHash('sha256').update(codeVerifier).digest('base64url');
        const challenge = { codeChallenge, codeChallengeMethod: 'S256', nonce: 'nonce-1' };
        await run(`web.authorize(${JSON.stringify(challenge)}); resolve();`);
        await signInOn(page);
        const code = new URL(page.url()).searchParams.get('code');
        const exchange = { grantType: 'authorization_code', code, codeVerifier };
        const tokens = await run<{ idToken: string; accessToken: string }>(`
          web.client.oauthToken(${JSON.stringify({ ...exchange, redirectUri: options.redirectUri })}, done);
        `);
        const { idToken, accessToken } = tokens;
        const claims = await run(`web.validateToken('${idToken}', 'nonce-1', done);`);
        expect(claims).toMatchObject({ sub: 'auth0|alice' });
        const user = await run(`web.client.userInfo('${accessToken}', done);`);
        expect(user).toMatchObject({ email: 'alice@example.com' });
        // In a hidden frame it asks for ID tokens; a token for an API never passes through a URL here.
        const silent = (responseType: string) =>
          run(`web.checkSession({ responseType: '${responseType}' }, (error, answer) => {
            resolve(error ? error.code : answer.idTokenPayload.sub);
          });`);
        expect(await silent('id_token')).toBe('auth0|alice');
        expect(await silent('token')).toBe('unsupported_response_type');
      });
    });
  },
);

const agent = findProgram('oidc-agent');
(agent ? describe : describe.skip)(`oidc-agent${agent ? '' : ': it is not installed'}`, () => {
  const SCOPE = 'openid offline_access read:contacts';
  const run = promisify(execFile);
  let home: string;
  let env: NodeJS.ProcessEnv;
  let server: AuthorizationServer;

  beforeAll(async () => {
    server = await startDemo((tenant) => {
      const [web] = tenant.clients;
      // It sends no audience.
      tenant.tenant.default_audience = API;
      tenant.clients.push({
        ...web!,
        client_id: 'agent',
        client_secret: 'agent-secret',
        grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
      });
    });
    home = mkdtempSync(join(tmpdir(), 'oidc-agent-'));
    env = { PATH: process.env.PATH, HOME: home, OIDC_CONFIG_DIR: home, OIDC_ENCRYPTION_PW: 'x' };
    const { stdout } = await run(agent ?? '', ['--json'], { env });
    const { socket, dpid } = JSON.parse(stdout) as { socket: string; dpid: string };
    env = { ...env, OIDC_SOCK: socket, OIDCD_PID: dpid };
  });
  afterAll(async () => {
    await run(agent ?? '', ['--kill'], { env });
    rmSync(home, { recursive: true, force: true });
    await stopServers();
  });

  test('gets its tokens by the device flow, and refreshes them', async () => {
    const gen = spawn(
      'oidc-gen',
      [
        ...[
          '--flow=device',
          `--issuer=${server.issuer}`,
          '--client-id=agent',
          '--client-secret=agent-secret',
        ],
        ...[`--scope=${SCOPE}`, '--pw-env', '--prompt=none', '--confirm-default', 'me'],
      ],
      { env },
    );
    const ended = once(gen, 'exit');
    let printed = '';
    const shown = new Promise<string>((resolve) => {
      gen.stderr.on('data', (chunk) => {
        printed += chunk;
        const [, code] = /enter the code: (\S+)/.exec(printed) ?? [];
        if (code) resolve(code);
      });
    });
    const browser = new FormBrowser();
    const user_code = await shown;
    const question = await browser.submit(await browser.open(`${server.issuer}activate`), 'form', {
      user_code,
    });
    const login = await browser.submit(question, 'form.answers', { confirm: 'yes' });
    await signInByForm(browser, login);
    expect((await ended)[0]).toBe(0);

    const tokenOf = async (...parameters: string[]) => {
      const { stdout } = await run('oidc-token', [...parameters, 'me'], { env });
      return decodeJwt(stdout.trim());
    };
    const token = await tokenOf();
    expect(token).toMatchObject({ azp: 'agent', scope: SCOPE, aud: expect.arrayContaining([API]) });
    const refreshed = await tokenOf('--force-new');
    expect(refreshed).toMatchObject({ gty: 'refresh_token', sub: token.sub });
  });
});
