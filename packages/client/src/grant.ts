import type { AuthorizationServerMetadata } from '@koa-oauth/issuer';
import { OidcError } from './errors.ts';
import {
  type FindSigningKey,
  type IdTokenClaims,
  judgeRefreshedClaims,
  verifyIdToken,
} from './id-token.ts';
import type { SessionContent } from './session.ts';
import {
  type ClientCredentials,
  requestRevocation,
  requestTokensByCode,
  requestTokensByRefresh,
} from './token-endpoint.ts';
import { isInvalidGrant, judgeTokenResponse, type TokenResponse } from './token-response.ts';
import type { Transaction } from './transaction.ts';

/** Exchanges grants for tokens and lets none through that was not verified. */
export interface Grants {
  byCode(code: string, transaction: Transaction): Promise<SessionContent>;
  byRefreshToken(refreshToken: string, content: SessionContent): Promise<SessionContent>;
  /** Does nothing where the issuer has no revocation endpoint. */
  revoke(refreshToken: string): Promise<void>;
}

interface GrantsOptions {
  issuer: { metadata(): Promise<AuthorizationServerMetadata>; signingKey: FindSigningKey };
  client: ClientCredentials;
  /** Seconds that the clocks may differ. */
  clockTolerance: number;
  /** Milliseconds for one exchange. */
  timeout: number;
  /** Milliseconds since 1970. */
  now: () => number;
}

const REVOCATION_TIMEOUT = 2000;

export function createGrants({
  issuer,
  client,
  clockTolerance,
  timeout,
  now,
}: GrantsOptions): Grants {
  const seconds = () => Math.floor(now() / 1000);

  async function tokenEndpoint(): Promise<{ url: string; issuer: string }> {
    const { token_endpoint, issuer: identifier } = await issuer.metadata();
    if (token_endpoint) return { url: token_endpoint, issuer: identifier };
    throw new OidcError('ERR_ISSUER_UNSUITABLE', { detail: 'it has no token endpoint' });
  }

  function verify(
    idToken: string,
    accessToken: string,
    expected: { issuer: string; nonce?: string; maxAge?: number | undefined },
  ): Promise<IdTokenClaims> {
    return verifyIdToken(idToken, issuer.signingKey, {
      issuer: expected.issuer,
      clientID: client.clientID,
      nonce: expected.nonce,
      maxAge: expected.maxAge,
      accessToken,
      now: seconds(),
      clockTolerance,
    });
  }

  return {
    async byCode(code, transaction) {
      const { url } = await tokenEndpoint();
      const answer = await requestTokensByCode(url, client, { code, ...transaction }, { timeout });
      const response = judgeCodeResponse(answer, transaction.scope, seconds());
      if (!response.idToken) {
        throw new OidcError('ERR_TOKEN_RESPONSE', { detail: '"id_token" is missing' });
      }
      const claims = await verify(response.idToken, response.accessToken, transaction);
      return {
        claims,
        idToken: response.idToken,
        requestedScope: transaction.scope,
        accessToken: accessToken(response),
        refreshToken: response.refreshToken,
      };
    },

    async byRefreshToken(refreshToken, content) {
      const { url, issuer: identifier } = await tokenEndpoint();
      const answer = await requestTokensByRefresh(url, client, refreshToken, { timeout });
      const before = content.accessToken?.scope ?? content.requestedScope;
      const response = judgeTokenResponse(answer, before, seconds());
      if (response.idToken) {
        const { idToken } = response;
        const claims = await verify(idToken, response.accessToken, { issuer: identifier });
        judgeRefreshedClaims(claims, content.claims);
      }
      return {
        ...content,
        accessToken: accessToken(response),
        // RFC 6749 §6: none in the answer means that the old one stays good.
        refreshToken: response.refreshToken ?? refreshToken,
      };
    },

    async revoke(refreshToken) {
      const { revocation_endpoint: url } = await issuer.metadata();
      if (!url) return;
      const limits = { timeout: Math.min(timeout, REVOCATION_TIMEOUT) };
      const { status } = await requestRevocation(url, client, refreshToken, limits);
      if (status === 200) return;
      const detail = `revocation: it answered ${status}`;
      throw new OidcError('ERR_TOKEN_REQUEST_REFUSED', { detail });
    },
  };
}

/** RFC 6749 §5.2: `invalid_grant` is about the code, which the browser brought; all else is not. */
function judgeCodeResponse(...response: Parameters<typeof judgeTokenResponse>): TokenResponse {
  try {
    return judgeTokenResponse(...response);
  } catch (error) {
    if (!isInvalidGrant(error)) throw error;
    throw new OidcError('ERR_CODE_REFUSED', { detail: error.error, cause: error });
  }
}

function accessToken({ accessToken: value, expiresAt, scope }: TokenResponse) {
  return { value, expiresAt, scope };
}
