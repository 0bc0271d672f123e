import { createHttpClient, type HttpClient, type Issuer } from '@koa-oauth/issuer';
import { OidcError } from '../errors.ts';
import { reportMessage } from '../messages.ts';
import { loginIdOf, type Transaction } from '../oauth/authorization-endpoint.ts';
import type { Dpop, Proofs, TokenToSend } from '../oauth/dpop.ts';
import {
  type IdTokenClaims,
  type IdTokenExpectations,
  judgeRefreshedClaims,
  lacksClaims,
  mergeRefreshedClaims,
  verifyIdToken,
} from '../oauth/id-token.ts';
import {
  type EndpointAnswer,
  isRefused,
  judgeTokenResponse,
  MAX_ENDPOINT_BYTES,
  postToEndpoint,
  type TokenResponse,
} from '../oauth/token-endpoint.ts';
import { judgeUserinfo, requestUserinfo } from '../oauth/userinfo.ts';
import type { CheckedOptions } from '../options/options.ts';
import type { AccessToken, SessionContent } from '../session/session.ts';

/** Tokens from a refresh. */
export interface Refreshed {
  readonly accessToken: AccessToken;
  /** For the next refresh. */
  readonly refreshToken: string;
  /** From a newer ID token. */
  readonly identity: Partial<Pick<SessionContent, 'claims' | 'idToken'>>;
}

/** Maximum time that a login waits for userinfo, or a logout for the revocation, in milliseconds. */
const MAX_OPTIONAL_MS = 2000;

/** Exchanges grants for tokens, and verifies each answer. */
export class Grants {
  readonly #options: CheckedOptions;
  readonly #issuer: Issuer;
  readonly #http: HttpClient;
  readonly #dpop: Dpop;
  /** For requests that a login or a logout can do without. */
  readonly #optionalHttp: HttpClient;
  readonly #warn: (error: unknown) => void;

  /** @param warn receives failures that do not stop the request */
  constructor(
    options: CheckedOptions,
    issuer: Issuer,
    http: HttpClient,
    dpop: Dpop,
    warn: (error: unknown) => void,
  ) {
    this.#options = options;
    this.#issuer = issuer;
    this.#http = http;
    this.#dpop = dpop;
    this.#warn = warn;
    this.#optionalHttp = createHttpClient({
      timeout: Math.min(options.httpTimeout, MAX_OPTIONAL_MS),
      maxBodyBytes: MAX_ENDPOINT_BYTES,
      ...options.http,
    });
  }

  /** Exchanges the code of a callback (RFC 6749 §4.1.3, RFC 7636 §4.5). @throws OidcError */
  async byCode(code: string, transaction: Transaction): Promise<SessionContent> {
    const { issuer, nonce, maxAge, scope, essentialAcr: acr, dpopKey } = transaction;
    const loginId = loginIdOf(transaction.state);
    const proofs = dpopKey && this.#dpop.proofsOf(dpopKey);
    const answer = await this.#requestTokens('token', loginId, proofs, {
      grant_type: 'authorization_code',
      code,
      redirect_uri: transaction.redirectURI,
      code_verifier: transaction.codeVerifier,
      // RFC 8707 §2.2: without it some servers issue a token for userinfo.
      ...(this.#usesResource && transaction.audience && { resource: transaction.audience }),
    });
    const response = judgeCodeResponse(answer, scope, this.#options.seconds(), !!proofs);
    const { idToken, accessToken, refreshToken } = response;
    if (!idToken) throw new OidcError('ERR_TOKEN_RESPONSE', { detail: '"id_token" is missing' });
    const claims = await this.#verify(idToken, { issuer, nonce, maxAge, acr, accessToken });
    const needsUserinfo = transaction.wantsUserinfo || lacksClaims(claims, response.scope);
    return {
      claims,
      userinfo: needsUserinfo ? await this.#userinfo({ accessToken, proofs }, claims) : undefined,
      idToken,
      requestedScope: scope,
      requestedAudience: transaction.audience,
      requestedAcr: transaction.acrValues,
      requestedMaxAge: maxAge,
      accessToken: toAccessToken(response, scope, this.#options.seconds()),
      refreshToken,
      dpopKey,
      loginId,
    };
  }

  /**
   * Exchanges a session's refresh token (RFC 6749 §6).
   *
   * @param wanted scope and audience of the token; without both, the sign-in's
   * @throws OidcError
   */
  async byRefreshToken(
    content: SessionContent,
    { scope, audience }: { scope?: string | undefined; audience?: string | undefined },
  ): Promise<Refreshed> {
    const { refreshToken = '', requestedAudience, dpopKey } = content;
    // Without keys the answer could not be verified, and the refresh token would be lost.
    await this.#issuer.ready();
    const target = audience ?? (this.#usesResource && requestedAudience);
    const proofs = dpopKey && this.#dpop.proofsOf(dpopKey);
    const answer = await this.#requestTokens('refresh', content.loginId, proofs, {
      ...(scope !== undefined && { scope }),
      ...(target && { [this.#usesResource ? 'resource' : 'audience']: target }),
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
    });
    const isForSignIn = scope === undefined && audience === undefined;
    const requestedScope = isForSignIn ? content.requestedScope : (scope ?? '');
    // RFC 6749 §6: without scopes in request and answer, the sign-in's token keeps its scopes.
    const impliedScope = (isForSignIn ? content.accessToken?.scope : undefined) ?? requestedScope;
    const now = this.#options.seconds();
    const response = judgeTokenResponse(answer, impliedScope, now, !!proofs);
    let identity = {};
    if (response.idToken) {
      const { issuer } = await this.#issuer.metadata();
      const { accessToken, idToken } = response;
      const claims = await this.#verify(idToken, { issuer, accessToken });
      judgeRefreshedClaims(claims, content.claims);
      // Fewer scopes can mean fewer claims.
      if (isForSignIn && claims.iat >= content.claims.iat) {
        identity = { claims: mergeRefreshedClaims(claims, content.claims), idToken };
      }
    }
    return {
      identity,
      accessToken: toAccessToken(response, requestedScope, this.#options.seconds()),
      // RFC 6749 §6: without a new one, the old one stays valid.
      refreshToken: response.refreshToken ?? refreshToken,
    };
  }

  /** Revokes a refresh token (RFC 7009 §2.1), if the issuer has a revocation endpoint. */
  async revoke(refreshToken: string): Promise<void> {
    const { credentials, seconds } = this.#options;
    const { revocation_endpoint: url, issuer } = await this.#issuer.metadata();
    if (!url) return;
    const { status } = await postToEndpoint({
      url,
      issuer,
      credentials,
      parameters: { token: refreshToken, token_type_hint: 'refresh_token' },
      http: this.#optionalHttp,
      seconds,
    });
    if (status === 200 || status === 204) return;
    const detail = `revocation: it answered ${status}`;
    throw new OidcError('ERR_TOKEN_REQUEST_REFUSED', { detail });
  }

  /** True for RFC 8707, false for Auth0's own parameter `audience`. */
  get #usesResource(): boolean {
    return this.#options.authorizationParams.resource !== undefined;
  }

  /** Requests claims about the user. A failure does not stop the sign-in. */
  async #userinfo(token: TokenToSend, claims: IdTokenClaims): Promise<SessionContent['userinfo']> {
    try {
      const metadata = await this.#issuer.metadata();
      const answer = await requestUserinfo(metadata, token, this.#optionalHttp);
      return answer && judgeUserinfo(answer, claims);
    } catch (error) {
      this.#warn(error);
      return undefined;
    }
  }

  async #requestTokens(
    kind: 'token' | 'refresh',
    loginId: string,
    proofs: Proofs | undefined,
    parameters: Record<string, string>,
  ): Promise<EndpointAnswer> {
    const { credentials, seconds } = this.#options;
    const { token_endpoint: url, issuer } = await this.#issuer.metadata();
    if (!url) throw new OidcError('ERR_ISSUER_UNSUITABLE', { detail: 'it has no token endpoint' });
    return postToEndpoint({
      url,
      issuer,
      credentials,
      parameters,
      http: this.#http,
      proofs,
      seconds,
      report: (end, message) => reportMessage(this.#options, loginId, `${kind}_${end}`, message),
    });
  }

  #verify(
    idToken: string,
    expected: Omit<IdTokenExpectations, 'clientID' | 'now' | 'clockTolerance' | 'algorithms'>,
  ): Promise<IdTokenClaims> {
    const { credentials, clockTolerance, algorithms, seconds } = this.#options;
    return verifyIdToken(idToken, (header) => this.#issuer.signingKeys(header), {
      ...expected,
      clientID: credentials.clientID,
      now: seconds(),
      clockTolerance,
      algorithms,
    });
  }
}

/** Judges the answer to a code: only `invalid_grant` is about the code itself (RFC 6749 §5.2). */
function judgeCodeResponse(
  answer: EndpointAnswer,
  scope: string,
  now: number,
  isBound: boolean,
): TokenResponse {
  try {
    return judgeTokenResponse(answer, scope, now, isBound);
  } catch (error) {
    if (!isRefused(error, 'invalid_grant')) throw error;
    const { detail, summary } = error;
    throw new OidcError('ERR_CODE_REFUSED', { detail, summary, cause: error });
  }
}

function toAccessToken(
  { accessToken: value, expiresAt, scope }: TokenResponse,
  requestedScope: string,
  issuedAt: number,
): AccessToken {
  return { value, expiresAt, scope, requestedScope, issuedAt };
}
