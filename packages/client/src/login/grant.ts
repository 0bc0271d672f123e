import { createHttpClient, type HttpClient, type Issuer } from '@koa-oauth/issuer';
import { OidcError } from '../errors.ts';
import { type ClientMessage, reportMessage } from '../messages.ts';
import { loginIdOf, type Transaction } from '../oauth/authorization-endpoint.ts';
import {
  type IdTokenClaims,
  type IdTokenExpectations,
  judgeRefreshedClaims,
  verifyIdToken,
} from '../oauth/id-token.ts';
import {
  type Endpoint,
  type EndpointAnswer,
  type EndpointMessage,
  isRefused,
  judgeTokenResponse,
  MAX_ENDPOINT_BYTES,
  requestRevocation,
  requestTokensByCode,
  requestTokensByRefresh,
  type TokenResponse,
} from '../oauth/token-endpoint.ts';
import type { CheckedOptions } from '../options/options.ts';
import type { AccessToken, SessionContent } from '../session/session.ts';

/** Tokens from a refresh. */
export interface Refreshed {
  readonly accessToken: AccessToken;
  /** The one to use from now on. */
  readonly refreshToken: string;
}

/** Scope and audience of a token that is asked for; undefined in both: what the sign-in had. */
export interface WantedGrant {
  readonly scope: string | undefined;
  readonly audience: string | undefined;
}

/** Bounds the time that a logout waits for the revocation. */
const MAX_REVOCATION_MS = 2000;

/** Exchanges grants for tokens, and lets none through that was not verified. */
export class Grants {
  readonly #options: CheckedOptions;
  readonly #issuer: Issuer;
  readonly #http: HttpClient;
  readonly #revocationHttp: HttpClient;

  constructor(options: CheckedOptions, issuer: Issuer, http: HttpClient) {
    this.#options = options;
    this.#issuer = issuer;
    this.#http = http;
    this.#revocationHttp = createHttpClient({
      timeout: Math.min(options.httpTimeout, MAX_REVOCATION_MS),
      maxBodyBytes: MAX_ENDPOINT_BYTES,
      ...options.http,
    });
  }

  /** Exchanges the code of a callback. @throws OidcError */
  async byCode(code: string, transaction: Transaction): Promise<SessionContent> {
    const { credentials, now } = this.#options;
    const endpoint = await this.#tokenEndpoint();
    const loginId = loginIdOf(transaction.state);
    const answer = await requestTokensByCode(
      endpoint,
      credentials,
      { code, ...transaction },
      {
        http: this.#http,
        now,
        report: (end, message) => this.#report(loginId, `token_${end}`, message),
      },
    );
    const response = judgeCodeResponse(answer, transaction.scope, this.#options.seconds());
    if (!response.idToken) {
      throw new OidcError('ERR_TOKEN_RESPONSE', { detail: '"id_token" is missing' });
    }
    const { issuer, nonce, maxAge, essentialAcr: acr } = transaction;
    const expected = { issuer, nonce, maxAge, acr };
    const claims = await this.#verify(response.idToken, response.accessToken, expected);
    return {
      claims,
      idToken: response.idToken,
      requestedScope: transaction.scope,
      requestedAudience: transaction.audience,
      requestedAcr: transaction.acrValues,
      accessToken: toAccessToken(response, transaction.scope, this.#options.seconds()),
      refreshToken: response.refreshToken,
      loginId,
    };
  }

  /** Exchanges a session's refresh token. @throws OidcError */
  async byRefreshToken(
    refreshToken: string,
    content: SessionContent,
    { scope, audience }: WantedGrant,
  ): Promise<Refreshed> {
    const { credentials, now, authorizationParams } = this.#options;
    // Without keys the answer could not be verified, and the refresh token would be lost.
    await this.#issuer.ready();
    const endpoint = await this.#tokenEndpoint();
    // RFC 8707 where the sign-in uses it, else Auth0's own parameter.
    const audienceParameter = authorizationParams.resource === undefined ? 'audience' : 'resource';
    const target = audience ?? (audienceParameter === 'resource' && content.requestedAudience);
    const parameters = {
      refreshToken,
      ...(scope !== undefined && { scope }),
      ...(target && { [audienceParameter]: target }),
    };
    const answer = await requestTokensByRefresh(endpoint, credentials, parameters, {
      http: this.#http,
      now,
      report: (end, message) => this.#report(content.loginId, `refresh_${end}`, message),
    });
    const signIns = content.accessToken?.scope ?? content.requestedScope;
    const unsaid = scope ?? (audience === undefined ? signIns : '');
    const response = judgeTokenResponse(answer, unsaid, this.#options.seconds());
    if (response.idToken) {
      const { issuer } = endpoint;
      const claims = await this.#verify(response.idToken, response.accessToken, { issuer });
      judgeRefreshedClaims(claims, content.claims);
    }
    const asked = scope ?? (audience === undefined ? content.requestedScope : '');
    return {
      accessToken: toAccessToken(response, asked, this.#options.seconds()),
      // RFC 6749 §6: none in the answer means that the old one stays good.
      refreshToken: response.refreshToken ?? refreshToken,
    };
  }

  /** Revokes a refresh token; does nothing where the issuer has no revocation endpoint. */
  async revoke(refreshToken: string): Promise<void> {
    const { credentials, now } = this.#options;
    const { revocation_endpoint: url, issuer } = await this.#issuer.metadata();
    if (!url) return;
    const { status } = await requestRevocation({ url, issuer }, credentials, refreshToken, {
      http: this.#revocationHttp,
      now,
    });
    if (status === 200) return;
    const detail = `revocation: it answered ${status}`;
    throw new OidcError('ERR_TOKEN_REQUEST_REFUSED', { detail });
  }

  #report(loginId: string, step: ClientMessage['step'], message: EndpointMessage): void {
    reportMessage(this.#options, loginId, step, message);
  }

  async #tokenEndpoint(): Promise<Endpoint> {
    const { token_endpoint: url, issuer } = await this.#issuer.metadata();
    if (url) return { url, issuer };
    throw new OidcError('ERR_ISSUER_UNSUITABLE', { detail: 'it has no token endpoint' });
  }

  #verify(
    idToken: string,
    accessToken: string,
    expected: Pick<IdTokenExpectations, 'issuer'> & Partial<IdTokenExpectations>,
  ): Promise<IdTokenClaims> {
    return verifyIdToken(idToken, (header) => this.#issuer.signingKey(header), {
      nonce: undefined,
      maxAge: undefined,
      ...expected,
      clientID: this.#options.credentials.clientID,
      accessToken,
      now: this.#options.seconds(),
      clockTolerance: this.#options.clockTolerance,
    });
  }
}

/** RFC 6749 §5.2: `invalid_grant` is about the code, which the browser brought; all else is not. */
function judgeCodeResponse(answer: EndpointAnswer, scope: string, now: number): TokenResponse {
  try {
    return judgeTokenResponse(answer, scope, now);
  } catch (error) {
    if (!isRefused(error, 'invalid_grant')) throw error;
    throw new OidcError('ERR_CODE_REFUSED', { detail: error.error, cause: error });
  }
}

function toAccessToken(
  { accessToken: value, expiresAt, scope }: TokenResponse,
  requestedScope: string,
  issuedAt: number,
): AccessToken {
  return { value, expiresAt, scope, requestedScope, issuedAt };
}
