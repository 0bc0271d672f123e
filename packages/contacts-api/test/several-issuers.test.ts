import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import { proves } from '../../../test/support/proves.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import { audience, bearer, namespace, type RunningApp, startApp } from './support/running-app.ts';

const ALL = 'read:contacts create:contacts update:contacts delete:contacts';
const ada = { name: 'Ada Lovelace', email: 'ada@example.com' };

let other: TestIssuer;
let running: RunningApp;
beforeAll(async () => {
  other = await startTestIssuer({ keys: [testKey({}, 1)] });
  running = await startApp({ otherIssuers: [other.issuer] });
});
afterAll(async () => {
  await running.close();
  await other.close();
});

const tokens = (claims: Record<string, unknown>) => {
  const all = { sub: 'auth0|alice', aud: audience, scope: ALL, ...claims };
  return [running.issuer.token(all), other.token(all)] as const;
};
const list = async (token: string) => {
  const { body } = await running.api('contacts', bearer(token));
  return (body as unknown as { items: { id: string }[] }).items.map(({ id }) => id);
};

test.each([
  ['a user', {}],
  ['an organization', { [`${namespace}org_id`]: 'acme' }],
])('%s of one issuer and the same name at another share no contact', async (_, claims) => {
  proves('ASVS 10.3.3');
  const [first, second] = tokens(claims);
  for (const [own, foreign] of [
    [first, second],
    [second, first],
  ] as const) {
    const { body, statusCode } = await running.api.post('contacts', { ...bearer(own), json: ada });
    expect(statusCode).toBe(201);
    const { id } = body as unknown as { id: string };
    expect(await list(own)).toContain(id);
    expect(await list(foreign)).not.toContain(id);
    const found = await running.api(`contacts/${id}`, bearer(foreign));
    const deleted = await running.api.delete(`contacts/${id}`, bearer(foreign));
    expect([found.statusCode, deleted.statusCode]).toEqual([404, 404]);
  }
});

test('contacts from before there were several issuers belong to the first', async () => {
  const keys = await running.database.selectFrom('organizations').select('organisation').execute();
  expect(keys.map(({ organisation }) => organisation).sort()).toEqual([
    `issuer:${other.issuer} org:acme`,
    `issuer:${other.issuer} user:auth0|alice`,
    'org:acme',
    'user:auth0|alice',
  ]);
});

test('while one issuer is down, the API serves the users of the other', async () => {
  const down = await startTestIssuer();
  down.goDown();
  const half = await startApp({ otherIssuers: [down.issuer] });
  const ask = async (token: string) => (await half.api('contacts', bearer(token))).statusCode;
  expect((await half.api('readyz')).statusCode).toBe(200);
  expect(await ask(half.token(ALL))).toBe(200);
  expect(await ask(down.token({ sub: 'alice', aud: audience, scope: ALL }))).toBe(503);
  expect(await ask(other.token({ sub: 'alice', aud: audience, scope: ALL }))).toBe(401);
  await half.close();
  await down.close();
});

test('the metadata and the OpenAPI document name all issuers', async () => {
  const { body } = await running.api('.well-known/oauth-protected-resource');
  const issuers = [running.issuer.issuer, other.issuer];
  expect(body).toMatchObject({ authorization_servers: issuers });
  const document = await running.api('openapi.json');
  expect(JSON.stringify(document.body)).toContain(issuers.join(' or '));
});
