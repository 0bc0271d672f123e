import type { AuthorizationServerMetadata, HttpClient } from '@koa-oauth/issuer';
import { OidcError } from '../errors.ts';
import type { Transaction } from '../oauth/authorization-request.ts';
import type { ClientCredentials } from '../oauth/client-authentication.ts';
import {
  type IdTokenClaims,
  type IdTokenExpectations,
  judgeRefreshedClaims,
  verifyIdToken,
} from '../oauth/id-token.ts';
import type { FindSigningKey } from '../oauth/signed-jwt.ts';
import {
  type Endpoint,
  requestRevocation,
  requestTokensByCode,
  requestTokensByRefresh,
} from '../oauth/token-endpoint.ts';
import { isInvalidGrant, judgeTokenResponse, type TokenResponse } from '../oauth/token-response.ts';
import type { AccessToken, SessionContent } from '../session/session.ts';
import { createFlowRecord, type FlowStep } from './flow-record.ts';

/** Exchanges grants for tokens and lets none through that was not verified. */
export interface Grants {
  byCode(code: string, transaction: Transaction): Promise<SessionContent>;
  /** @param wanted undefined in both: what the sign-in had */
  byRefreshToken(
    refreshToken: string,
    content: SessionContent,
    wanted: { scope: string | undefined; audience: string | undefined },
  ): Promise<Refreshed>;
  /** Does nothing where the issuer has no revocation endpoint. */
  revoke(refreshToken: string): Promise<void>;
}

export interface Refreshed {
  readonly accessToken: AccessToken;
  /** The one to use from now on. */
  readonly refreshToken: string;
  /** What was sent and received, where that is recorded. */
  readonly flow: readonly FlowStep[] | undefined;
}

interface GrantsOptions {
  issuer: {
    metadata(): Promise<AuthorizationServerMetadata>;
    signingKey: FindSigningKey;
    ready(): Promise<void>;
  };
  client: ClientCredentials;
  /** What the authorization server calls the API that a token is for. */
  audienceParameter: 'audience' | 'resource';
  /** Seconds that the clocks may differ. */
  clockTolerance: number;
  http: HttpClient;
  revocationHttp: HttpClient;
  /** Milliseconds since 1970. */
  now: () => number;
  /** Whether to keep what was sent and received, secrets masked. Default: false */
  recordFlow?: boolean;
}

export function createGrants({
  issuer,
  client,
  audienceParameter,
  clockTolerance,
  http,
  revocationHttp,
  now,
  recordFlow = false,
}: GrantsOptions): Grants {
  const seconds = () => Math.floor(now() / 1000);

  async function tokenEndpoint(): Promise<Endpoint> {
    const { token_endpoint, issuer: identifier } = await issuer.metadata();
    if (token_endpoint) return { url: token_endpoint, issuer: identifier };
    throw new OidcError('ERR_ISSUER_UNSUITABLE', { detail: 'it has no token endpoint' });
  }

  function verify(
    idToken: string,
    accessToken: string,
    expected: Pick<IdTokenExpectations, 'issuer'> & Partial<IdTokenExpectations>,
  ): Promise<IdTokenClaims> {
    return verifyIdToken(idToken, issuer.signingKey, {
      issuer: expected.issuer,
      clientID: client.clientID,
      nonce: expected.nonce,
      maxAge: expected.maxAge,
      acr: expected.acr,
      accessToken,
      now: seconds(),
      clockTolerance,
    });
  }

  return {
    async byCode(code, transaction) {
      const endpoint = await tokenEndpoint();
      const flow = createFlowRecord(recordFlow, now);
      const answer = await requestTokensByCode(
        endpoint,
        client,
        { code, ...transaction },
        {
          http,
          now,
          onSend: (parameters) => flow.add('token_request', { url: endpoint.url, parameters }),
        },
      );
      flow.add('token_response', { status: answer.status, parameters: answer.body });
      const response = judgeCodeResponse(answer, transaction.scope, seconds());
      if (!response.idToken) {
        throw new OidcError('ERR_TOKEN_RESPONSE', { detail: '"id_token" is missing' });
      }
      const { issuer, nonce, maxAge, essentialAcr: acr } = transaction;
      const expected = { issuer, nonce, maxAge, acr };
      const claims = await verify(response.idToken, response.accessToken, expected);
      return {
        claims,
        idToken: response.idToken,
        requestedScope: transaction.scope,
        requestedAudience: transaction.audience,
        requestedAcr: transaction.acrValues,
        accessToken: accessToken(response, transaction.scope, seconds()),
        refreshToken: response.refreshToken,
        flow: flow.steps,
      };
    },

    async byRefreshToken(refreshToken, content, { scope, audience }) {
      // Without keys the answer could not be judged, and the refresh token would be spent.
      await issuer.ready();
      const endpoint = await tokenEndpoint();
      const flow = createFlowRecord(recordFlow, now);
      const target = audience ?? (audienceParameter === 'resource' && content.requestedAudience);
      const parameters = {
        refreshToken,
        ...(scope !== undefined && { scope }),
        ...(target && { [audienceParameter]: target }),
      };
      const answer = await requestTokensByRefresh(endpoint, client, parameters, {
        http,
        now,
        onSend: (form) => flow.add('refresh_request', { url: endpoint.url, parameters: form }),
      });
      flow.add('refresh_response', { status: answer.status, parameters: answer.body });
      const signIns = content.accessToken?.scope ?? content.requestedScope;
      const unsaid = scope ?? (audience === undefined ? signIns : '');
      const response = judgeTokenResponse(answer, unsaid, seconds());
      if (response.idToken) {
        const { idToken } = response;
        const claims = await verify(idToken, response.accessToken, {
          issuer: endpoint.issuer,
        });
        judgeRefreshedClaims(claims, content.claims);
      }
      const asked = scope ?? (audience === undefined ? content.requestedScope : '');
      return {
        accessToken: accessToken(response, asked, seconds()),
        // RFC 6749 §6: none in the answer means that the old one stays good.
        refreshToken: response.refreshToken ?? refreshToken,
        flow: flow.steps,
      };
    },

    async revoke(refreshToken) {
      const { revocation_endpoint: url, issuer: identifier } = await issuer.metadata();
      if (!url) return;
      const endpoint = { url, issuer: identifier };
      const { status } = await requestRevocation(endpoint, client, refreshToken, {
        http: revocationHttp,
        now,
      });
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

function accessToken(
  { accessToken: value, expiresAt, scope }: TokenResponse,
  requestedScope: string,
  issuedAt: number,
): AccessToken {
  return { value, expiresAt, scope, requestedScope, issuedAt };
}
