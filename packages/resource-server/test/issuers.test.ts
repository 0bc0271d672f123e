import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { publicJwk, signJws } from '@koa-oauth/issuer/testing';
import nock from 'nock';
import { read } from '../../../test/support/snippets.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import { type AccessTokenVerifierOptions, createAccessTokenVerifier } from '../src/index.ts';

const key = testKey({ kid: 'k1' });
const NOW = Math.floor(Date.now() / 1000);
const times = { iat: NOW - 10, exp: NOW + 600 };
const TENANT = '11111111-2222-3333-4444-555555555555';
const APP = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee';
const api = 'https://api.example.com';

/** A token with the members that an issuer writes, and the documents that the issuer publishes. */
interface Shape {
  /** Row of the table in docs/issuers.md. */
  readonly row: string;
  readonly options: Partial<AccessTokenVerifierOptions<unknown>>;
  /** Documents by their URL. */
  readonly documents: Readonly<Record<string, object>>;
  readonly header?: object;
  readonly payload?: Record<string, unknown>;
  /** Text of an opaque token. */
  readonly token?: string;
  /** Scopes of the accepted token, or the reason of its refusal. */
  readonly outcome: readonly string[] | string;
  /** Changes to the options or the claims, and the reason of the refusal then. */
  readonly otherwise?: readonly {
    readonly options?: object;
    readonly payload?: object;
    readonly reason: string;
  }[];
}

/** Metadata and key set of an issuer that keeps them at the usual place. */
function published(issuer: string, jwks_uri = `${issuer.replace(/\/$/, '')}/keys`, more = {}) {
  return {
    [`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`]: {
      issuer,
      jwks_uri,
      ...more,
    },
    [jwks_uri]: { keys: [publicJwk(key)] },
  };
}

// Entra's keys have no `alg`, and members of their own.
const jwkOfEntra = { ...publicJwk(key), alg: undefined, x5t: 'k1', x5c: ['MIIC'], issuer: 'x' };
const entra = (issuer: string, metadata: string) => ({
  [`${metadata}/.well-known/openid-configuration`]: {
    issuer,
    jwks_uri: `https://login.microsoftonline.com/${TENANT}/discovery/v2.0/keys`,
    authorization_endpoint: `https://login.microsoftonline.com/${TENANT}/oauth2/v2.0/authorize`,
    token_endpoint: `https://login.microsoftonline.com/${TENANT}/oauth2/v2.0/token`,
  },
  [`https://login.microsoftonline.com/${TENANT}/discovery/v2.0/keys`]: { keys: [jwkOfEntra] },
});
const entraV2 = {
  ...times,
  nbf: times.iat,
  iss: `https://login.microsoftonline.com/${TENANT}/v2.0`,
  aud: APP,
  aio: 'x',
  azp: 'client',
  azpacr: '1',
  oid: 'o',
  rh: '0.x',
  scp: 'read:orders write:orders',
  sub: 's',
  tid: TENANT,
  uti: 'u',
  ver: '2.0',
};
const realm = 'https://sso.example.com/realms/acme';
const keycloak = published(realm, `${realm}/protocol/openid-connect/certs`, {
  introspection_endpoint: `${realm}/protocol/openid-connect/token/introspect`,
});
const ofKeycloak = {
  ...times,
  jti: 'onrtac:1',
  iss: realm,
  aud: [api, 'account'],
  typ: 'Bearer',
  azp: 'web',
  sid: 's',
  acr: '1',
  scope: 'openid read:orders',
};
const pool = 'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example';
const okta = 'https://example.okta.com';

const SHAPES: readonly Shape[] = [
  {
    row: 'Entra, v2',
    options: { issuerBaseURL: entraV2.iss, audience: APP },
    documents: entra(entraV2.iss, entraV2.iss),
    payload: entraV2,
    outcome: ['read:orders', 'write:orders'],
    otherwise: [
      { payload: { tid: 'other', iss: entraV2.iss.replace(TENANT, 'other') }, reason: 'issuer' },
    ],
  },
  {
    row: 'Entra, of an application',
    options: { issuerBaseURL: entraV2.iss, audience: APP, scopeClaim: 'roles' },
    documents: entra(entraV2.iss, entraV2.iss),
    payload: { ...entraV2, scp: undefined, idtyp: 'app', roles: ['read:orders'] },
    outcome: ['read:orders'],
  },
  {
    row: 'Entra, v1',
    options: {
      issuerBaseURL: `https://sts.windows.net/${TENANT}/`,
      metadataURL: `https://login.microsoftonline.com/${TENANT}/.well-known/openid-configuration`,
      audience: `api://${APP}`,
    },
    documents: entra(
      `https://sts.windows.net/${TENANT}/`,
      `https://login.microsoftonline.com/${TENANT}`,
    ),
    payload: {
      ...times,
      nbf: times.iat,
      iss: `https://sts.windows.net/${TENANT}/`,
      aud: `api://${APP}`,
      appid: 'client',
      appidacr: '0',
      scp: 'read:orders',
      sub: 's',
      tid: TENANT,
      unique_name: 'alice@example.com',
      ver: '1.0',
    },
    outcome: ['read:orders'],
  },
  {
    row: 'Entra, several tenants',
    options: {
      issuerBaseURL: 'https://login.microsoftonline.com/{tenantid}/v2.0',
      tenants: ['99999999-2222-3333-4444-555555555555', TENANT],
      audience: APP,
    },
    documents: entra(entraV2.iss, entraV2.iss),
    payload: entraV2,
    outcome: ['read:orders', 'write:orders'],
    otherwise: [
      { payload: { iss: entraV2.iss.replace(TENANT, 'other') }, reason: 'issuer' },
      { payload: { iss: 'https://login.microsoftonline.com/{tenantid}/v2.0' }, reason: 'issuer' },
    ],
  },
  {
    row: 'Okta, custom server',
    options: { issuerBaseURL: `${okta}/oauth2/default`, audience: 'api://default' },
    documents: published(`${okta}/oauth2/default`, `${okta}/oauth2/default/v1/keys`),
    header: { typ: undefined },
    payload: {
      ...times,
      ver: 1,
      jti: 'AT.x',
      iss: `${okta}/oauth2/default`,
      aud: 'api://default',
      cid: 'client',
      uid: 'u',
      scp: ['openid', 'read:orders'],
      auth_time: times.iat,
      sub: 'alice@example.com',
    },
    outcome: ['openid', 'read:orders'],
  },
  {
    row: 'Okta, org server',
    options: { issuerBaseURL: okta, audience: okta },
    documents: published(okta, `${okta}/oauth2/v1/keys`),
    header: { typ: undefined, kid: 'not-published' },
    payload: {
      ...times,
      ver: 1,
      jti: 'AT.x',
      iss: okta,
      aud: okta,
      cid: 'c',
      scp: ['openid'],
      sub: 'a',
    },
    outcome: 'key',
  },
  {
    row: 'Keycloak 26',
    options: { issuerBaseURL: realm, audience: api },
    documents: keycloak,
    payload: { ...ofKeycloak, sub: 's' },
    outcome: ['openid', 'read:orders'],
    otherwise: [{ payload: { aud: 'account' }, reason: 'audience' }],
  },
  {
    row: 'Keycloak 26, without `sub`',
    options: { issuerBaseURL: realm, audience: api, subRequired: false },
    documents: keycloak,
    payload: ofKeycloak,
    outcome: ['openid', 'read:orders'],
    otherwise: [{ options: { subRequired: undefined }, reason: 'claim' }],
  },
  {
    row: 'Keycloak 26, lightweight',
    options: {
      issuerBaseURL: realm,
      audience: api,
      introspection: { clientID: 'api', clientSecret: 'a-secret-of-the-api' },
    },
    documents: {
      ...keycloak,
      [`POST ${realm}/protocol/openid-connect/token/introspect`]: {
        ...ofKeycloak,
        sub: 's',
        client_id: 'web',
        username: 'alice',
        active: true,
      },
    },
    payload: {
      ...times,
      jti: 'onltac:1',
      iss: realm,
      typ: 'Bearer',
      azp: 'web',
      sid: 's',
      scope: 'openid',
    },
    outcome: ['openid', 'read:orders'],
    otherwise: [{ options: { introspection: undefined }, reason: 'claim' }],
  },
  {
    row: 'Cognito',
    options: { issuerBaseURL: pool, audience: api },
    documents: published(pool, `${pool}/.well-known/jwks.json`),
    header: { typ: undefined },
    payload: {
      ...times,
      sub: 's',
      iss: pool,
      aud: api,
      client_id: 'client',
      origin_jti: 'o',
      event_id: 'e',
      token_use: 'access',
      scope: 'read:orders',
      auth_time: times.iat,
      jti: 'j',
      username: 'alice',
      version: 2,
    },
    outcome: ['read:orders'],
    otherwise: [{ payload: { aud: undefined }, reason: 'claim' }],
  },
  {
    row: 'Duende IdentityServer',
    options: { issuerBaseURL: 'https://id.example.com', audience: api },
    documents: published('https://id.example.com'),
    header: { typ: 'at+jwt' },
    payload: {
      ...times,
      nbf: times.iat,
      iss: 'https://id.example.com',
      aud: api,
      scope: ['openid', 'read:orders'],
      amr: ['pwd'],
      client_id: 'web',
      sub: 's',
      auth_time: times.iat,
      idp: 'local',
      jti: 'J',
    },
    outcome: ['openid', 'read:orders'],
    otherwise: [
      { options: { profile: 'rfc9068' }, reason: 'claim' },
      { payload: { sub: undefined }, reason: 'claim' },
    ],
  },
  {
    row: 'Spring Authorization Server',
    options: { issuerBaseURL: 'https://auth.example.com', audience: api },
    documents: published('https://auth.example.com', 'https://auth.example.com/oauth2/jwks'),
    header: { typ: undefined },
    payload: {
      ...times,
      nbf: times.iat,
      sub: 'alice',
      aud: [api],
      scope: ['read:orders'],
      iss: 'https://auth.example.com',
      jti: 'j',
    },
    outcome: ['read:orders'],
    otherwise: [{ payload: { aud: 'client-id' }, reason: 'audience' }],
  },
  {
    row: 'Zitadel',
    options: { issuerBaseURL: 'https://acme.zitadel.cloud', audience: '250000000000000001' },
    documents: published('https://acme.zitadel.cloud', 'https://acme.zitadel.cloud/oauth/v2/keys'),
    payload: {
      ...times,
      nbf: times.iat,
      iss: 'https://acme.zitadel.cloud',
      sub: '250000000000000009',
      aud: ['250000000000000002@orders', '250000000000000001'],
      jti: 'V2_1',
      client_id: '250000000000000002@orders',
      'urn:zitadel:iam:org:project:roles': { reader: { 1: 'acme.example.com' } },
    },
    outcome: [],
  },
  {
    row: 'Google',
    options: { issuerBaseURL: 'https://accounts.google.com', audience: api },
    documents: {},
    token: `ya29.a0${'Ab'.repeat(60)}`,
    outcome: 'malformed',
  },
];

beforeEach(() => nock.disableNetConnect());
afterEach(() => nock.cleanAll());
// Other test files in this process use real HTTP.
afterAll(() => {
  nock.enableNetConnect();
  nock.restore();
});

function serve(documents: Shape['documents']): void {
  for (const [name, body] of Object.entries(documents)) {
    const [method, address] = name.startsWith('POST ') ? ['POST', name.slice(5)] : ['GET', name];
    const { origin, pathname } = new URL(address as string);
    nock(origin)
      .intercept(pathname, method as string)
      .reply(200, body as nock.Body)
      .persist();
  }
}

/** Returns the scopes of an accepted token, or the reason or code of its refusal. */
function outcomeOf(shape: Shape, change: { options?: object; payload?: object } = {}) {
  const verify = createAccessTokenVerifier({
    onEvent: () => {},
    ...shape.options,
    ...change.options,
  });
  const header = { alg: key.alg, kid: key.kid, typ: 'JWT', ...shape.header };
  const token = shape.token ?? signJws(header, { ...shape.payload, ...change.payload }, key);
  return verify(token).then(
    ({ scopes }) => scopes,
    ({ reason, code }) => reason ?? code,
  );
}

describe('access tokens of the form of', () => {
  test.each(SHAPES.map((shape) => [shape.row, shape] as const))('%s', async (_, shape) => {
    serve(shape.documents);
    expect(await outcomeOf(shape)).toEqual(shape.outcome);
    for (const { reason, ...change } of shape.otherwise ?? []) {
      expect(await outcomeOf(shape, change)).toBe(reason);
    }
  });

  test('these issuers are the rows of docs/issuers.md', () => {
    const [, section = ''] = read('docs/issuers.md').split('\n## Access tokens\n');
    const rows = [...(section.split('\n## ')[0] ?? '').matchAll(/^\| ([^|]+) \|/gm)];
    expect(rows.slice(2).map(([, row]) => row)).toEqual(SHAPES.map(({ row }) => row));
  });
});
