import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { AuthorizationServer, Tenant } from '../../src/index.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import { keptLog } from '../support/kept-log.ts';
import { ALL_SCOPES, API, requestTokens, tokensFor } from '../support/sign-in.ts';

const BILLING = 'https://billing.example.com';
const OIDC = 'openid profile email offline_access';

/** A second API with a policy for it; bob has one of its permissions, by RBAC. */
function withBilling(tenant: Tenant): void {
  const [contacts] = tenant.resourceServers;
  tenant.resourceServers.push({
    ...contacts!,
    identifier: BILLING,
    scopes: ['read:bills', 'pay:bills', 'void:bills'].map((value) => ({ value })),
    enforce_policies: true,
    skip_consent_for_verifiable_first_party_clients: true,
  });
  const permissions = ['read:bills', 'void:bills'].map((permission_name) => ({
    permission_name,
    resource_server_identifier: BILLING,
  }));
  tenant.roles.push({ name: 'accountant', permissions });
  tenant.users[1]!.roles.push('accountant');
  tenant.clients[0]!.refresh_token.policies = [
    { audience: BILLING, scope: ['read:bills', 'pay:bills'] },
    { audience: 'https://gone.example.com', scope: ['x'] },
  ];
}

describe('a multi-resource refresh token', () => {
  let server: AuthorizationServer;
  const { logger, lines } = keptLog();
  beforeAll(async () => {
    server = await startDemo(
      (tenant) => {
        withBilling(tenant);
        const code = 'api.accessToken.setCustomClaim("api", event.resource_server?.identifier);';
        Object.assign(tenant, { postLogin: [actionOf(code)] });
      },
      { logger },
    );
  });
  afterAll(stopServers);

  const refresh = async (token: string | undefined, change: Record<string, string> = {}) => {
    const form = { grant_type: 'refresh_token', refresh_token: token ?? '', ...change };
    const { status, body } = await requestTokens(server, form);
    const claims = body.access_token ? decodeJwt(body.access_token) : {};
    return { status, body, claims };
  };

  test('gets tokens for the API of a policy, with its scopes that the user has permissions for', async () => {
    const { tokens } = await tokensFor(server, 'bob');
    const other = await refresh(tokens.refresh_token, { audience: BILLING });
    expect(other.claims).toMatchObject({
      aud: [BILLING, `${server.issuer}userinfo`],
      scope: `${OIDC} read:bills`,
      permissions: ['read:bills', 'void:bills'],
      api: BILLING,
    });
    expect(other.body.scope).toBe(`${OIDC} read:bills`);
    // The rotated token is still that of the sign-in.
    const first = await refresh(other.body.refresh_token);
    expect(first.claims).toMatchObject({ scope: `${OIDC} read:contacts`, api: API });
    const again = await refresh(first.body.refresh_token, { audience: BILLING });
    expect(again.claims).toMatchObject({ scope: `${OIDC} read:bills` });
  });

  test.each([
    ['read:bills', 'read:bills', false],
    ['openid read:bills pay:bills void:bills read:contacts', 'openid read:bills', true],
    ['pay:bills', undefined, false],
  ])('narrows to %p', async (asked, scope, hasIdToken) => {
    const { tokens } = await tokensFor(server, 'bob');
    const { status, body, claims } = await refresh(tokens.refresh_token, {
      audience: BILLING,
      scope: asked,
    });
    expect(status).toBe(200);
    expect(claims.scope).toBe(scope);
    expect('id_token' in body).toBe(hasIdToken);
  });

  test.each(['https://gone.example.com', 'https://unknown.example.com', API])(
    'ignores the audience %s, which no policy of an API has',
    async (audience) => {
      const { tokens } = await tokensFor(server, 'alice');
      const { claims } = await refresh(tokens.refresh_token, { audience });
      expect(claims).toMatchObject({ api: API, scope: ALL_SCOPES });
      const wide = await refresh(tokens.refresh_token, { audience, scope: 'read:bills' });
      expect(wide.status).not.toBe(200);
    },
  );

  test('a used token is refused for another API too', async () => {
    const { tokens } = await tokensFor(server, 'bob');
    await refresh(tokens.refresh_token, { audience: BILLING });
    const reused = await refresh(tokens.refresh_token, { audience: BILLING });
    expect([reused.status, reused.body.error]).toEqual([403, 'invalid_grant']);
  });

  test.each<[string, (tenant: Tenant) => void]>([
    [
      'a third-party application',
      ({ clients }) => {
        clients[0]!.is_first_party = false;
      },
    ],
    [
      'an API that needs consent',
      ({ resourceServers }) => {
        resourceServers[1]!.skip_consent_for_verifiable_first_party_clients = false;
      },
    ],
  ])('%s does not get another API; the log has the reason', async (_name, change) => {
    const strict = await startDemo(
      (tenant) => {
        withBilling(tenant);
        change(tenant);
      },
      { logger },
    );
    const { tokens } = await tokensFor(strict, 'bob');
    const { body } = await requestTokens(strict, {
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token ?? '',
      audience: BILLING,
    });
    expect(decodeJwt(body.access_token ?? '').aud).toContain(API);
    expect(lines.at(-2)).toMatchObject({ audience: BILLING, client: 'contacts-web' });
  });
});
