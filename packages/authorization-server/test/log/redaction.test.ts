import { expect, test } from '@jest/globals';
import { createRedaction } from '../../src/log/redaction.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';
import { actionOf } from '../support/demo-server.ts';

const namespace = { ...actionOf(''), secrets: { NS: 'https://other.example/', WORD: 'hush' } };
const redact = createRedaction({ ...loadTenant(demoTenantFile), postLogin: [namespace] });

test.each([
  ['a client secret', 'is contacts-web-demo-secret right?', 'is [hidden] right?'],
  ['a password', 'alice-demo', '[hidden]'],
  ["an Action's secret", 'say hush', 'say [hidden]'],
  ['a JWT', 'got eyJhbGciOi.eyJzdWIi.c2ln', 'got [hidden].[hidden].c2ln'],
  ['an opaque token', `x ${'a1_-'.repeat(10)}.`, 'x [hidden].'],
  ['an API', 'https://contacts.example.com/api', 'https://contacts.example.com/api'],
  ["a claim's namespace", 'https://other.example/roles', 'https://other.example/roles'],
  ['no text', undefined, undefined],
])('%s', (_name, text, shown) => {
  expect(redact(text)).toBe(shown);
});

test('secrets of a request are hidden, and a long text is cut', () => {
  const oidc = { params: { code: 'short-code', scope: 'openid profile' }, body: undefined };
  const ctx = { oidc } as unknown as Parameters<typeof redact>[1];
  expect(redact('short-code for openid profile', ctx)).toBe('[hidden] for openid profile');
  expect(redact('a b '.repeat(500))).toHaveLength(301);
});
