import { createLocalJWKSet, jwtVerify } from 'jose';
import type { AdapterPayload } from 'oidc-provider';
import type { SigningKeys } from '../keys/signing-keys.ts';
import type { TokenClock } from './token-claims.ts';

/** Takes this server's own JWT access tokens at the userinfo endpoint, without having stored them. */
export interface UserinfoTokens {
  /** The token as the record the engine would have stored; undefined when it is not good for it. */
  verify(token: string): Promise<AdapterPayload | undefined>;
}

/** A grant that was never stored: what follows says whose it is, and comes out of a verified token. */
const GRANT = 'userinfo:';

export function isJwt(token: string): boolean {
  return token.split('.').length === 3;
}

export function createUserinfoTokens(
  issuer: string,
  keys: SigningKeys,
  clock: TokenClock,
): UserinfoTokens {
  const keySet = createLocalJWKSet({
    keys: keys.keys.map(({ kty, n, e, kid, alg, use }) => ({ kty, n, e, kid, alg, use })),
  });
  return {
    async verify(token) {
      try {
        // An ID token fails here: its audience is the client alone.
        const { payload } = await jwtVerify(token, keySet, {
          issuer,
          audience: `${issuer}userinfo`,
          currentDate: new Date(Date.now() + clock.seconds * 1000),
          algorithms: ['RS256'],
          requiredClaims: ['sub', 'exp', 'iat', 'scope'],
        });
        const clientId = payload.azp ?? payload.client_id;
        if (typeof clientId !== 'string' || typeof payload.scope !== 'string') return undefined;
        const grant = { clientId, accountId: payload.sub, scope: payload.scope };
        return {
          kind: 'AccessToken',
          jti: token,
          clientId,
          accountId: payload.sub,
          scope: payload.scope,
          // The engine goes by the real clock.
          iat: Number(payload.iat) - clock.seconds,
          exp: Number(payload.exp) - clock.seconds,
          grantId: GRANT + Buffer.from(JSON.stringify(grant)).toString('base64url'),
          jkt: (payload.cnf as { jkt?: string } | undefined)?.jkt,
        };
      } catch {
        return undefined;
      }
    },
  };
}

/** The grant that a verified token stands for; undefined for an id of another form. */
export function readUserinfoGrant(id: string): AdapterPayload | undefined {
  if (!id.startsWith(GRANT)) return undefined;
  const content = Buffer.from(id.slice(GRANT.length), 'base64url').toString();
  const { clientId, accountId, scope } = JSON.parse(content) as Record<string, string>;
  const payload = { kind: 'Grant', jti: id, clientId, accountId, openid: { scope } };
  return payload;
}
