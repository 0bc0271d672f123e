import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import {
  demoTenantFile,
  loadTenant,
  readKeywords,
  type Tenant,
} from '@koa-oauth/authorization-server';
import { credentialsOf, signIn } from '@koa-oauth/authorization-server/testing';
import { parseIssuerIdentifier } from '@koa-oauth/issuer';
import { isLoopback } from '@koa-oauth/service';
import * as oauth from 'openid-client';

const USAGE = `usage: npm run token -- [--user alice] [--scope "read:contacts"] [--audience https://contacts.example.com/api]

Prints an access token from the authorization code flow. With --user it signs in that demo user at
the local authorization server. Without it, it prints an address to open in a browser.
`;

try {
  process.stdout.write(`${await getAccessToken(process.argv.slice(2))}\n`);
  process.exit(0);
} catch (error) {
  process.stderr.write(`token: ${describe(error)}\n`);
  process.exit(1);
}

function describe(error: unknown): string {
  if (
    error instanceof oauth.AuthorizationResponseError ||
    error instanceof oauth.ResponseBodyError
  ) {
    return `the authorization server refused: ${error.error}: ${error.error_description ?? ''}`;
  }
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}

async function getAccessToken(args: string[]): Promise<string> {
  const { user, scope, audience } = readArguments(args);
  const { TENANT } = process.env;
  const tenant = loadTenant(TENANT || demoTenantFile, { keywords: readKeywords(process.env) });
  const config = await discover(tenant);
  // A loopback address with any free port (RFC 8252 §7.3).
  const listener = createServer();
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const redirectURI = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/callback`;

  const pkceCodeVerifier = oauth.randomPKCECodeVerifier();
  const expectedState = oauth.randomState();
  const request = oauth.buildAuthorizationUrl(config, {
    redirect_uri: redirectURI,
    scope,
    audience,
    state: expectedState,
    code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  });
  const response = user
    ? await signIn(request.href, redirectURI, credentialsOf(tenant, user))
    : await waitForBrowser(listener, request.href, redirectURI);
  const { access_token } = await oauth.authorizationCodeGrant(config, response, {
    pkceCodeVerifier,
    expectedState,
  });
  return access_token;
}

/** Reads the metadata of the issuer, for the client of the settings. */
async function discover(tenant: Tenant): Promise<oauth.Configuration> {
  const { ISSUER_BASE_URL = 'http://localhost:3002/', CLIENT_SECRET } = process.env;
  const { CLIENT_ID = 'contacts-cli' } = process.env;
  const issuer = readIssuer(ISSUER_BASE_URL);
  const client = tenant.clients.find(({ client_id }) => client_id === CLIENT_ID);
  const secret = CLIENT_SECRET ?? client?.client_secret;
  const method = secret ? oauth.ClientSecretPost(secret) : oauth.None();
  const execute = isLoopback(issuer.hostname) ? [oauth.allowInsecureRequests] : [];
  try {
    return await oauth.discovery(issuer, CLIENT_ID, undefined, method, { execute });
  } catch (cause) {
    throw new Error(`no authorization server answers at ${issuer.href}; start one with npm start`, {
      cause,
    });
  }
}

function readIssuer(value: string): URL {
  try {
    return parseIssuerIdentifier(value);
  } catch (error) {
    throw new Error((error as Error).message.replace('issuerBaseURL', 'ISSUER_BASE_URL'));
  }
}

function readArguments(args: string[]): { user?: string; scope: string; audience: string } {
  try {
    const { values } = parseArgs({
      args,
      options: {
        user: { type: 'string' },
        scope: {
          type: 'string',
          default: 'read:contacts create:contacts update:contacts delete:contacts read:activity',
        },
        audience: {
          type: 'string',
          default: process.env.AUDIENCE || 'https://contacts.example.com/api',
        },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (!values.help) return values;
    process.stdout.write(USAGE);
    process.exit(0);
  } catch (error) {
    process.stderr.write(
      `${(error as Error).message}\n(npm wants "--" before the options)\n\n${USAGE}`,
    );
    process.exit(2);
  }
}

async function waitForBrowser(
  listener: Server,
  address: string,
  redirectURI: string,
): Promise<URL> {
  process.stderr.write(`Open this address in a browser to sign in:\n\n${address}\n\n`);
  for (;;) {
    const [request, answer] = await once(listener, 'request');
    const url = new URL(request.url ?? '', redirectURI);
    const isCallback = url.pathname === new URL(redirectURI).pathname;
    answer.writeHead(isCallback ? 200 : 404, {
      'Content-Type': 'text/plain; charset=utf-8',
      'Cache-Control': 'no-store',
    });
    answer.end(isCallback ? 'Done. Go back to your terminal.\n' : 'Not found\n');
    if (isCallback) return url;
  }
}
