import { createLocalJWKSet, jwtVerify } from 'jose';
import type { AdapterPayload } from 'oidc-provider';
import type { AppContext } from '../context.ts';
import { signingKeySet } from '../keys/signing-algorithms.ts';
import { RSA_ALGORITHMS } from '../tenant/tenant.ts';

/** Prefix of the id of a grant that is not stored: members of a verified token follow it. */
export const USERINFO_GRANT = 'userinfo:';

export function isJwt(token: string): boolean {
  return token.split('.').length === 3;
}

/** Verifies this server's JWT access tokens for the userinfo endpoint; they are not stored. */
export class UserinfoTokens {
  readonly #context: AppContext;
  readonly #keySet: ReturnType<typeof createLocalJWKSet>;

  constructor(context: AppContext) {
    this.#context = context;
    this.#keySet = createLocalJWKSet({
      keys: signingKeySet(context.keys, context.tenant).keys.map(
        ({ kty, n, e, kid, alg, use }) => ({ kty, n, e, kid, alg, use }),
      ),
    });
  }

  /** Returns a token as the engine's record of it; undefined if the token is not valid. */
  async verify(token: string): Promise<AdapterPayload | undefined> {
    const { issuer, clock } = this.#context;
    const { seconds } = clock;
    try {
      // An ID token fails here: its audience is the client alone.
      const { payload } = await jwtVerify(token, this.#keySet, {
        issuer,
        audience: `${issuer}userinfo`,
        currentDate: new Date(Date.now() + seconds * 1000),
        algorithms: [...RSA_ALGORITHMS],
        requiredClaims: ['sub', 'exp', 'iat', 'scope'],
      });
      const { sub: accountId, scope } = payload;
      const clientId = payload.azp ?? payload.client_id;
      if (typeof clientId !== 'string' || typeof scope !== 'string') return undefined;
      const grant = JSON.stringify({ clientId, accountId, scope });
      return {
        kind: 'AccessToken',
        jti: token,
        clientId,
        accountId,
        scope,
        // The engine uses the real clock.
        iat: Number(payload.iat) - seconds,
        exp: Number(payload.exp) - seconds,
        grantId: USERINFO_GRANT + Buffer.from(grant).toString('base64url'),
        jkt: (payload.cnf as { jkt?: string } | undefined)?.jkt,
      };
    } catch {
      return undefined;
    }
  }
}

/** Returns the grant in an id that begins with `USERINFO_GRANT`. */
export function readUserinfoGrant(id: string): AdapterPayload {
  const content = Buffer.from(id.slice(USERINFO_GRANT.length), 'base64url').toString();
  const { clientId, accountId, scope } = JSON.parse(content) as Record<string, string>;
  return { kind: 'Grant', jti: id, clientId, accountId, openid: { scope } } as AdapterPayload;
}
