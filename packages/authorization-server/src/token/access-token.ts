import type {
  AccessToken,
  ClientCredentials,
  JWTStructured,
  KoaContextWithOIDC,
} from 'oidc-provider';
import { outcomeOf } from '../actions/login-outcome.ts';
import type { Organizations } from '../claims/organizations.ts';
import { changeScope } from '../claims/scope-changes.ts';
import { type Api, findApi, permissionsOf, type Tenant } from '../tenant/tenant.ts';
import type { Users } from '../tenant/users.ts';
import { byClock, type TokenClock } from './clock.ts';

interface AccessTokenParts {
  readonly tenant: Tenant;
  readonly users: Users;
  readonly organizations: Organizations;
  readonly clock: TokenClock;
}

type CustomizeAccessToken = (
  ctx: KoaContextWithOIDC,
  token: AccessToken | ClientCredentials,
  jwt: JWTStructured,
) => void;

/**
 * Writes a JWT access token in the API's dialect: Auth0's own (`typ` JWT, `azp`, no `jti`), or
 * RFC 9068 §2 (`typ` at+jwt, `client_id`, `jti`); with `permissions` for those that end in `authz`.
 */
export function customizeAccessToken({
  tenant,
  users,
  organizations,
  clock,
}: AccessTokenParts): CustomizeAccessToken {
  return function customizeAccessToken(ctx, token, jwt) {
    const api = findApi(tenant, String(jwt.payload.aud));
    if (api === undefined) return;
    const rfc9068 = api.token_dialect.startsWith('rfc9068');
    const { jti, client_id, aud, iss, sub, iat, exp, scope, ...rest } = jwt.payload;
    const machine = token.kind === 'ClientCredentials';
    const withUserinfo = typeof scope === 'string' && scope.split(' ').includes('openid');
    jwt.header = { ...jwt.header, typ: rfc9068 ? 'at+jwt' : 'JWT' };
    jwt.payload = byClock(
      {
        ...(machine ? {} : outcomeOf(ctx).accessToken),
        ...rest,
        iss,
        sub: machine ? `${client_id}@clients` : sub,
        // The engine refuses several audiences, but only before it asks here.
        aud: withUserinfo ? [aud, `${ctx.oidc.issuer}userinfo`] : aud,
        iat,
        exp,
        scope,
        ...(rfc9068 ? { client_id, jti } : { azp: client_id, ...grantType(token) }),
        ...(machine ? {} : organizations.claims(ctx)),
        ...permissionsClaim(tenant, users, token, api),
      },
      clock,
    );
  };
}

/** Returns the scope of an access token after the changes of Actions and rules. */
export function accessTokenScope(
  ctx: KoaContextWithOIDC,
  scope: string | undefined,
): string | undefined {
  const { scope: changes } = outcomeOf(ctx);
  return changes === undefined ? scope : changeScope(scope, changes);
}

/** `gty` is there for tokens that no user signed in for just now. */
function grantType(token: AccessToken | ClientCredentials): { gty?: string } {
  if (token.kind === 'ClientCredentials') return { gty: 'client-credentials' };
  return (token as AccessToken).gty?.endsWith('refresh_token') ? { gty: 'refresh_token' } : {};
}

function permissionsClaim(
  tenant: Tenant,
  users: Users,
  token: AccessToken | ClientCredentials,
  api: Api,
): { permissions?: string[] } {
  if (!api.token_dialect.endsWith('authz')) return {};
  if (token.kind === 'ClientCredentials') {
    return { permissions: token.scope?.split(' ').filter(Boolean) ?? [] };
  }
  const user = users.find((token as AccessToken).accountId);
  return { permissions: user === undefined ? [] : permissionsOf(tenant, user, api) };
}
