import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { demoTenantFile, loadTenant } from '@koa-oauth/authorization-server';
import { type LocalIssuer, startLocalIssuer } from '@koa-oauth/authorization-server/testing';
import { type AuthError, createAccessTokenVerifier } from '@koa-oauth/resource-server';
import { freePorts, type Service, startService } from '../support/services.ts';

const AUDIENCE = 'https://contacts.example.com/api';
const API_CLIENT = { clientID: 'contacts-api', clientSecret: 'contacts-api-demo-secret' };
const WEB_CLIENT = { client_id: 'contacts-web', client_secret: 'contacts-web-demo-secret' };

let issuer: LocalIssuer;
let introspections = 0;

function countIntrospection(message: unknown): void {
  const { request } = message as { request: IncomingMessage };
  if (request.url === '/oauth/introspect') introspections += 1;
}

beforeAll(async () => {
  const tenant = loadTenant(demoTenantFile);
  for (const api of tenant.resourceServers) api.token_dialect = 'opaque_authz';
  issuer = await startLocalIssuer({ tenant });
  subscribe('http.server.request.start', countIntrospection);
});
beforeEach(() => {
  introspections = 0;
});
afterAll(async () => {
  unsubscribe('http.server.request.start', countIntrospection);
  await issuer.close();
});

async function revoke(token: string): Promise<void> {
  const body = new URLSearchParams({ token, ...WEB_CLIENT });
  const { status } = await fetch(`${issuer.issuer}oauth/revoke`, { method: 'POST', body });
  expect(status).toBe(200);
}

test('a revoked token is refused at two APIs after 30 seconds, and not before by each', async () => {
  let clock = Date.now();
  const start = () =>
    createAccessTokenVerifier({
      issuerBaseURL: issuer.issuer,
      audience: AUDIENCE,
      introspection: { ...API_CLIENT, monotonicNow: () => clock },
      now: () => clock,
    });
  const [one, two] = [start(), start()];
  const token = await issuer.tokenFor({ user: 'alice', client: 'contacts-web' });
  const verified = await Promise.all(Array.from({ length: 30 }, () => one(token)));
  expect(introspections).toBe(1);
  expect(verified[0]?.scopes).toContain('read:contacts');
  expect(verified[0]?.payload).toMatchObject({
    sub: 'auth0|alice',
    'https://contacts.example.com/org_id': 'acme',
  });
  await two(token);
  expect(introspections).toBe(2);

  await revoke(token);
  clock += 29_000;
  await Promise.all([one(token), two(token)]);
  expect(introspections).toBe(2);
  clock += 1000;
  const refusal = (error: AuthError) => error;
  for (const verify of [one, two]) {
    const error = await verify(token).catch(refusal);
    expect(error).toMatchObject({ status: 401, reason: 'inactive' });
  }
  expect(introspections).toBe(4);
});

test('two API processes each ask once, and one that has not asked refuses a revoked token at once', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'opaque-'));
  const ports = await freePorts(2);
  const start = (port: number) =>
    startService('contacts-api', dir, {
      PORT: String(port),
      ISSUER_BASE_URL: issuer.issuer,
      DATABASE_URL: `file:${join(dir, 'contacts.db')}`,
      INTROSPECTION_CLIENT_ID: API_CLIENT.clientID,
      INTROSPECTION_CLIENT_SECRET: API_CLIENT.clientSecret,
    });
  const services: Service[] = [];
  try {
    for (const port of ports) services.push(await start(port));
    const [kept, revoked] = await Promise.all([
      issuer.tokenFor({ user: 'alice', client: 'contacts-web' }),
      issuer.tokenFor({ user: 'bob', client: 'contacts-web' }),
    ]);
    const list = async (port: number | undefined, token: string) => {
      const answer = await fetch(`http://127.0.0.1:${port}/contacts`, {
        headers: { authorization: `Bearer ${token}` },
      });
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
    };
    const answers = await Promise.all(
      ports.flatMap((port) => Array.from({ length: 30 }, () => list(port, kept))),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(introspections).toBe(2);

    expect((await list(ports[0], revoked)).status).toBe(200);
    await revoke(revoked);
    const { status, body } = await list(ports[1], revoked);
    expect([status, body.code]).toEqual([401, 'ERR_INVALID_TOKEN']);
    for (const service of services) {
      expect(service.printed()).not.toContain(revoked);
      expect(service.printed()).not.toContain(API_CLIENT.clientSecret);
    }
  } finally {
    await Promise.all(services.map((service) => service.stop()));
    await rm(dir, { recursive: true });
  }
});
