import { expect, test } from '@jest/globals';
import { openStateStore } from '../../src/state/file.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';
import type { Tenant } from '../../src/tenant/tenant.ts';
import { Users } from '../../src/tenant/users.ts';
import { connectionTo } from '../support/partner.ts';

const ID = 'oidc|partner|eve';
const connection = connectionTo('https://partner.example');

function tenantWith(entry?: Partial<Tenant['users'][number]>): Tenant {
  const tenant = loadTenant(demoTenantFile);
  tenant.connections.push(connection);
  const [alice] = tenant.users;
  if (entry) tenant.users.push({ ...alice!, password: undefined, user_id: ID, ...entry });
  return tenant;
}

test('users of the file are found, and others are not', () => {
  const tenant = tenantWith();
  const users = new Users({ tenant, store: openStateStore('memory:') });
  expect(users.find('auth0|alice')).toBe(tenant.users[0]);
  for (const id of ['auth0|eve', ID, '', 'oidc|partner|']) expect(users.find(id)).toBeUndefined();
});

test('a federated user exists from the first sign-in on, with the profile of the last one', () => {
  const users = new Users({ tenant: tenantWith(), store: openStateStore('memory:') });
  expect(users.storeProfile(connection, 'eve', {})).toEqual({
    user_id: ID,
    name: 'eve',
    email: '',
    email_verified: false,
    roles: [],
    app_metadata: {},
    user_metadata: {},
    blocked: false,
  });
  users.storeProfile(connection, 'eve', { email: 'eve@example.com', email_verified: true });
  expect(users.find(ID)).toMatchObject({ name: 'eve@example.com', email_verified: true });
  users.storeProfile(connection, 'eve', { name: 'Eve' });
  expect(users.find(ID)).toMatchObject({ name: 'Eve', email: '', email_verified: false });
});

test('roles and metadata come from the file, the profile from the provider', () => {
  const entry = { name: 'X', email: 'x@example.com', roles: ['admin'], app_metadata: { a: 1 } };
  const users = new Users({ tenant: tenantWith(entry), store: openStateStore('memory:') });
  expect(users.find(ID)).toMatchObject({ name: 'X' });
  const told = { name: 'Eve', email: 'eve@example.com', email_verified: false };
  expect(users.storeProfile(connection, 'eve', told)).toMatchObject({
    ...told,
    user_id: ID,
    roles: ['admin'],
    app_metadata: { a: 1 },
  });
});

test('a federated user exists only while the tenant has the connection', () => {
  const store = openStateStore('memory:');
  new Users({ tenant: tenantWith(), store }).storeProfile(connection, 'eve', {});
  expect(new Users({ tenant: loadTenant(demoTenantFile), store }).find(ID)).toBeUndefined();
  expect(new Users({ tenant: tenantWith(), store }).find(ID)).toBeDefined();
});
