import { afterAll, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { Tenant } from '../src/index.ts';
import { actionOf, startDemo, stopServers } from './support/demo-server.ts';
import { keptLog } from './support/kept-log.ts';
import { ruleOf } from './support/rule-of.ts';
import { tokensFor } from './support/sign-in.ts';

afterAll(stopServers);

const BY_ACTION = `
  const namespace = 'https://my-app.example.com/';
  api.idToken.setCustomClaim(namespace + 'user_metadata', event.user.user_metadata);
  api.accessToken.setCustomClaim(namespace + 'user_metadata', event.user.user_metadata);
  api.accessToken.setCustomClaim('roles', ['root']);
  api.accessToken.addScope('audit:contacts');
  api.accessToken.removeScope('email');`;

const BY_RULE = `
  const namespace = 'https://my-app.example.com/';
  context.idToken[namespace + 'user_metadata'] = user.user_metadata;
  context.accessToken[namespace + 'user_metadata'] = user.user_metadata;
  context.accessToken.roles = ['root'];
  context.accessToken.scope = ['openid', 'read:contacts', 'audit:contacts'];
  return callback(null, user, context);`;

/** The sample use case of Auth0's documentation: scopes and claims of one's own. */
test.each<[string, Partial<Tenant>, object]>([
  ['an Action', { postLogin: [actionOf(BY_ACTION)] }, { action: 'test' }],
  ['a rule', { postLogin: [], loginRules: [ruleOf(BY_RULE)] }, { rule: 'test' }],
])(
  '%s: a namespaced claim in both tokens, another scope, and a name that is not its own',
  async (_by, change, source) => {
    const { logger, lines } = keptLog();
    const server = await startDemo(
      (tenant) => {
        Object.assign(tenant, change);
        tenant.users[1]!.user_metadata = { hobby: 'chess' };
      },
      { logger },
    );
    const { tokens } = await tokensFor(server, 'bob', { scope: 'openid email read:contacts' });
    const claim = { 'https://my-app.example.com/user_metadata': { hobby: 'chess' } };
    expect(decodeJwt(tokens.id_token ?? '')).toMatchObject(claim);
    const access = decodeJwt(tokens.access_token ?? '');
    expect(access).toMatchObject({ ...claim, scope: 'openid read:contacts audit:contacts' });
    expect(access).not.toHaveProperty('roles');
    expect(tokens.scope).toBe(access.scope);
    expect(lines).toContainEqual(
      expect.objectContaining({
        ...source,
        token: 'accessToken',
        claim: 'roles',
        msg: 'restricted claim dropped',
      }),
    );
  },
);
