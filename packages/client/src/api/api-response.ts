import { type IncomingHttpHeaders, STATUS_CODES } from 'node:http';
import {
  errorCode,
  foreignDescription,
  foreignText,
  OidcError,
  type OidcErrorCode,
  type OidcErrorOptions,
} from '../errors.ts';
import type { SignInRequirement } from '../login/step-up.ts';
import { type Challenge, demandedSignIn, parseChallenge } from '../oauth/challenge.ts';
import { foreignScope } from '../oauth/scope.ts';
import { retryAfter } from '../oauth/token-endpoint.ts';

/** Answer of the API, its body read to the end. */
export interface ApiResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Parsed if it is JSON, else its text. Another server wrote it: check it before use. */
  readonly body: unknown;
}

/**
 * Error for an answer of the API other than 2xx, or for none: `ERR_API_UNAVAILABLE` (503), `ERR_API_TOKEN_REFUSED` (401),
 * `ERR_STEP_UP_REQUIRED` (401, RFC 9470 §3), `ERR_INSUFFICIENT_SCOPE` (403, RFC 6750 §3.1) or
 * `ERR_API_REFUSED`. It contains no part of the request.
 *
 * @example
 * if (hasCode(error, 'ERR_API_REFUSED')) {
 *   const { response } = error as ApiError;
 *   if (response?.status === 404) ctx.body = 'There is no such order.';
 * }
 */
export class ApiError extends OidcError {
  override readonly name = 'ApiError';
  /** The API's answer; undefined when there was none. */
  readonly response: ApiResponse | undefined;
  /** Scope that the request needs, as the API says. Only with `ERR_INSUFFICIENT_SCOPE`. */
  readonly scope: string | undefined;
  /** Sign-in that the request needs; empty if the API named none. Only with `ERR_STEP_UP_REQUIRED`. */
  readonly requirement: Readonly<SignInRequirement> | undefined;

  constructor(
    code: OidcErrorCode,
    options: OidcErrorOptions & {
      response?: ApiResponse;
      scope?: string | undefined;
      requirement?: SignInRequirement;
    },
  ) {
    super(code, options);
    this.response = options.response;
    this.scope = options.scope;
    this.requirement = options.requirement;
  }

  override toJSON(): Record<string, unknown> {
    const { scope } = this;
    return { ...super.toJSON(), ...(scope === undefined ? {} : { scope }) };
  }
}

/**
 * Reports whether another access token may be accepted (RFC 6750 §3.1).
 *
 * @param isBound true when the token was sent with a proof
 */
export function refusesToken(
  { status, headers }: Omit<ApiResponse, 'body'>,
  isBound: boolean,
): boolean {
  if (status !== 401) return false;
  const challenge = challengeOf(headers, isBound);
  return !!challenge && (challenge.error === undefined || challenge.error === 'invalid_token');
}

/**
 * Judges an answer of the API.
 *
 * @param request method and address, for the log
 * @param now seconds since 1970
 * @param isBound true when the token was sent with a proof
 * @throws ApiError unless it is a 2xx
 */
export function judgeApiResponse(
  response: ApiResponse,
  request: string,
  now: number,
  isBound = false,
): ApiResponse {
  const { status, headers } = response;
  if (status >= 200 && status < 300) return response;

  const challenge = challengeOf(headers, isBound);
  const error = errorCode(challenge?.error);
  const scope = foreignScope(foreignText(challenge?.scope ?? '')) || undefined;
  const summary = error ? `it answered ${status} ${error}` : `it answered ${status}`;
  const description = foreignDescription(challenge?.description ?? '');
  const words = [scope && `scope ${foreignDescription(scope)}`, description]
    .filter(Boolean)
    .join('; ');
  const detail = `${request}: ${summary}${words && `: ${words}`}`;
  const options = { detail, summary, response };
  const waitSeconds = status === 429 || status === 503 ? retryAfter(headers, now) : undefined;

  if (status === 502 || status === 503 || status === 504) {
    throw new ApiError('ERR_API_UNAVAILABLE', { ...options, retryAfter: waitSeconds });
  }
  if (status === 401 && challenge && error === 'insufficient_user_authentication') {
    const requirement = { ...demandedSignIn(challenge), ...(scope && { scope }) };
    throw new ApiError('ERR_STEP_UP_REQUIRED', { ...options, requirement });
  }
  if (status === 401) throw new ApiError('ERR_API_TOKEN_REFUSED', options);
  if (status === 403 && error === 'insufficient_scope') {
    throw new ApiError('ERR_INSUFFICIENT_SCOPE', { ...options, scope });
  }
  const ownStatus = status >= 400 && status < 500 && STATUS_CODES[status] ? status : 502;
  throw new ApiError('ERR_API_REFUSED', { ...options, retryAfter: waitSeconds, status: ownStatus });
}

// An API that accepts both schemes sends a challenge for each (RFC 9449 §7.1).
function challengeOf(headers: IncomingHttpHeaders, isBound: boolean): Challenge | undefined {
  const { 'www-authenticate': value } = headers;
  return (isBound ? parseChallenge(value, 'DPoP') : undefined) ?? parseChallenge(value, 'Bearer');
}
