import { expect, test } from '@jest/globals';
import { droppedScopes } from '../../src/log/steps.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';

const tenant = loadTenant(demoTenantFile);
const [api] = tenant.resourceServers;
const user = tenant.users.find(({ email }) => email === 'bob@example.com');
const application = tenant.clients.find(({ client_id }) => client_id === 'contacts-web');
const login = { issued: [], user, application, api };
const none = { added: [], removed: [] };

test.each([
  ['an Action', 'read:contacts', { changes: { ...none, removed: ['read:contacts'] } }, 'an Action'],
  ['a rule', 'read:contacts', { changes: { ...none, only: [] } }, 'a rule'],
  ['an earlier sign-in', 'read:contacts', { granted: [] }, 'not granted at the sign-in'],
  ['nobody: no Action', 'https://x.example/roles', {}, 'no Action set this claim'],
  ['the API', 'read:nothing', {}, 'has no such scope'],
  ['no API', 'read:contacts', { api: undefined }, 'no audience was asked for'],
  ['the roles', 'read:activity', {}, "no role of the user's permits it"],
  [
    'the application',
    'offline_access',
    { application: application && { ...application, grant_types: ['authorization_code'] } },
    'no grant type refresh_token',
  ],
  [
    'an API without offline access',
    'offline_access',
    { api: api && { ...api, allow_offline_access: false } },
    'allows no offline access',
  ],
])('%s took it away', (_name, scope, change, why) => {
  const dropped = droppedScopes(tenant, { ...login, asked: [scope], ...change } as never);
  expect(dropped).toEqual([{ scope, why: expect.stringContaining(why) }]);
});

test('what was issued was not dropped; an unknown reason is left open', () => {
  const token = { ...login, asked: ['openid', 'email'], issued: ['openid'] };
  expect(droppedScopes(tenant, token)).toEqual([{ scope: 'email', why: undefined }]);
});
