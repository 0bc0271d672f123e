import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { parse } from 'yaml';
import { demoTenantFile, loadTenant } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { keptLog } from '../support/kept-log.ts';
import { type Published, publishedSources } from '../support/published.ts';
import {
  API,
  authorizationRequest,
  CALLBACK,
  callbackOf,
  openBrowser,
  requestTokens,
  secondStepOf,
} from '../support/sign-in.ts';

type Server = Awaited<ReturnType<typeof startDemo>>;
type Login = Published['logins'][number];

const NAMESPACE = 'https://x.example/';
const folder = mkdtempSync(join(tmpdir(), 'published-'));

/** An API that Actions call, with a token endpoint; `/slow` never answers. */
let issued = 0;
const site = createServer((request, response) => {
  const { url = '' } = request;
  if (url === '/slow') return;
  response.setHeader('content-type', 'application/json');
  if (url === '/token') {
    issued += 1;
    response.end(JSON.stringify({ access_token: `token-${issued}`, expires_in: 60 }));
  } else response.end(JSON.stringify({ plan: 'gold' }));
});

let api = '';
beforeAll(async () => {
  await new Promise<void>((listening) => site.listen(0, '127.0.0.1', listening));
  api = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  const module = join(folder, 'node_modules', 'tiny-slug');
  mkdirSync(module, { recursive: true });
  const manifest = { name: 'tiny-slug', version: '1.2.3', main: 'index.js' };
  writeFileSync(join(module, 'package.json'), JSON.stringify(manifest));
  writeFileSync(
    join(module, 'index.js'),
    `module.exports = (text) => text.toLowerCase().replace(/\\W+/g, '-');`,
  );
});

afterAll(async () => {
  await stopServers();
  site.closeAllConnections();
  await new Promise((closed) => site.close(closed));
  rmSync(folder, { recursive: true });
});

/** Writes a tenant file with the source, as people have it. @returns its path. */
function writeTenant({ kind, code, ...published }: Published, event?: object): string {
  const path = join(folder, randomUUID());
  mkdirSync(path);
  writeFileSync(join(path, 'source.js'), code);
  const demo = parse(readFileSync(demoTenantFile, 'utf8'));
  const { client_metadata = {}, ...sections } = published.tenant ?? {};
  const trigger = kind === 'machine' ? 'credentials-exchange' : 'post-login';
  const secrets = Object.entries(published.secrets ?? {}).map(([name, value]) => ({ name, value }));
  const { dependencies = [] } = published;
  const action = { name: 'Published', code: './source.js', secrets, dependencies };
  const [alice, ...others] = demo.users;
  const tenant = {
    ...demo,
    ...sections,
    ...(event && { event }),
    clients: demo.clients.map((one: object) => ({ ...one, client_metadata })),
    users: [{ ...alice, ...published.user }, ...others],
    actions: kind === 'rule' ? [] : [action],
    triggers: kind === 'rule' ? {} : { [trigger]: [{ action_name: 'Published' }] },
    rules: kind === 'rule' ? [{ name: 'Published', script: './source.js' }] : [],
  };
  const file = join(path, 'tenant.yaml');
  writeFileSync(file, JSON.stringify(tenant));
  return file;
}

/** Signs in, through all pages, and comes back from another site. @returns tokens, or the refusal. */
async function logIn(server: Server, { user = 'alice', params = {}, answers, refresh }: Login) {
  const browser = openBrowser();
  const request = authorizationRequest(server, params);
  let page = await browser.get(request.url);
  page = await browser.submit(page, { username: `${user}@example.com`, password: `${user}-demo` });
  const { location } = page.headers;
  if (answers && location) {
    const query = new URL(location).searchParams;
    const fields = new URLSearchParams(await answers(query));
    fields.set('state', query.get('state') ?? '');
    page = await browser.get(`${server.issuer}continue?${fields}`);
  }
  if (page.url.includes('/u/mfa/')) page = await browser.submit(page, secondStepOf(page));
  if (page.url.includes('/u/consent/')) page = await browser.submit(page, { action: 'accept' });
  const callback = callbackOf(page);
  if (callback.has('error')) return Object.fromEntries(callback);
  const form = { grant_type: 'authorization_code', redirect_uri: CALLBACK };
  const code = callback.get('code') ?? '';
  const { body } = await requestTokens(server, { ...form, code, code_verifier: request.verifier });
  if (!refresh) return body;
  const { refresh_token = '' } = body;
  return (await requestTokens(server, { grant_type: 'refresh_token', refresh_token })).body;
}

const exchange = async (server: Server) => {
  const form = { grant_type: 'client_credentials', audience: API };
  return (await requestTokens(server, form, 'contacts-cli')).body;
};

function claimsOf({ access_token = '', id_token = '' }: Record<string, string>) {
  const all = [access_token, id_token].filter(Boolean).map((token) => decodeJwt(token));
  const own = all
    .flatMap((claims) => Object.entries(claims))
    .filter(([name]) => name.startsWith(NAMESPACE));
  return Object.fromEntries(own.map(([name, value]) => [name.slice(NAMESPACE.length), value]));
}

const NAMES = Object.keys(publishedSources({ api: '' }));

test('there are more than thirty sources', () => {
  expect(NAMES.length).toBeGreaterThan(30);
});

test.each(NAMES)(
  '%s has its effect, or is refused with the name of the missing member',
  async (name) => {
    const published = publishedSources({ api })[name];
    if (published === undefined) throw new Error('there is no such source');
    const { logger, lines } = keptLog();
    const tenant = loadTenant(writeTenant(published));
    const server = await startDemo((demo) => Object.assign(demo, tenant), { logger });
    for (const login of published.logins) {
      if (login.event) server.useTenant({ ...server.tenant, ...eventOf(published, login.event) });
      const answer =
        published.kind === 'machine' ? await exchange(server) : await logIn(server, login);
      if (login.denied) expect(answer.error_description).toMatch(login.denied);
      else expect(answer).not.toHaveProperty('error');
      if (login.claims) expect(claimsOf(answer)).toEqual(login.claims);
      if (login.scope) expect(answer.scope).toBe(login.scope);
      const amr = answer.id_token && decodeJwt(answer.id_token).amr;
      if (!login.denied && published.kind !== 'machine') expect(amr).toEqual(login.amr);
    }
    const secrets = Object.values(published.secrets ?? {}).filter((value) => value.length > 20);
    for (const secret of secrets) expect(JSON.stringify(lines)).not.toContain(secret);
  },
);

/** Reads the section from a file, as a person would set it. */
function eventOf(published: Published, event: object) {
  return { event: loadTenant(writeTenant(published, event)).event };
}

test('another version than the one that is named is reported once', async () => {
  const { logger, lines } = keptLog();
  const published = publishedSources({ api })['rule: a module with its version'] as Published;
  const tenant = loadTenant(writeTenant(published));
  const server = await startDemo((demo) => Object.assign(demo, tenant), { logger });
  for (const user of ['alice', 'bob']) await logIn(server, { user });
  const warned = lines.filter(({ msg }) => String(msg).includes('tiny-slug'));
  expect(warned).toEqual([
    expect.objectContaining({ msg: 'the module tiny-slug has the version 1.2.3 here, not 1.2.0' }),
  ]);
});
