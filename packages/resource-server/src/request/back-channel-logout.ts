import {
  checkLogoutToken,
  decodeUnverifiedJwt,
  type Issuer,
  isSameIssuer,
  LOGOUT_TOKEN_LIFETIME_SECONDS,
  type LogoutTokenClaims,
  readForm,
  SIGNING_ALGORITHMS,
  type SigningKey,
} from '@koa-oauth/issuer';
import type { Context, Middleware } from 'koa';
import { AuthError } from '../errors.ts';
import { asOptions, OptionFaults } from '../option-faults.ts';
import { isText } from '../token/jwt-access-token.ts';
import {
  type Algorithm,
  areAlgorithmsOf,
  isSignedWith,
  verifySignature,
} from '../token/signature.ts';

/** Options of `revocations().backChannelLogout`. */
export interface LogoutTokenOptions {
  /** Issuer that sends logout tokens, or several, made with `createIssuer`. */
  issuer: Issuer | readonly Issuer[];
  /** Client id, or several, to which the issuer sends them; `aud` must name one. */
  clientID: string | readonly string[];
  /** Seconds by which the issuer's clock may differ from this one, 0 to 300. Default: 60 */
  clockTolerance?: number | undefined;
  /** Accepted algorithms. Default: all of `Algorithm`. */
  algorithms?: readonly Algorithm[] | undefined;
}

/** Effects of a logout token. */
interface LogoutSteps {
  readonly now: () => number;
  /** Ends one session, or all sessions of a user. May be called twice. */
  endSession(claims: LogoutTokenClaims): Promise<void>;
  /** Records the token as used. @returns whether it was new */
  useOnce(claims: LogoutTokenClaims, until: number): Promise<boolean>;
}

const MAX_TOKEN_LENGTH = 32 * 1024;
/** OpenID Connect Back-Channel Logout 1.0 §2.8. */
const NOT_STORED = { 'Cache-Control': 'no-store' };

/** Makes the handler of logout tokens. @throws InvalidOptions that names every wrong option */
export function acceptLogoutToken(options: LogoutTokenOptions, steps: LogoutSteps): Middleware {
  const { issuers, ...rules } = checkOptions(options);

  return async function backChannelLogout(ctx) {
    const token = await readLogoutToken(ctx);
    const issuer = findIssuer(token, issuers);
    const { issuer: identifier } = await issuer.metadata();
    const expected = { ...rules, issuer: identifier, now: steps.now() / 1000 };
    const { header, claims } = check(() => checkLogoutToken(token, expected));
    await checkSignature(token, await issuer.signingKeys(header).catch(rejectUnknownKey));
    // If this came second and failed, the token would be used, and the issuer could not send it again.
    await steps.endSession(claims);
    const until = claims.iat + LOGOUT_TOKEN_LIFETIME_SECONDS + 2 * rules.clockTolerance + 1;
    if (!(await steps.useOnce(claims, until))) throw invalid('"jti" was used before');
    ctx.set(NOT_STORED);
    ctx.status = 200;
    ctx.body = '';
  };
}

async function readLogoutToken(ctx: Context): Promise<string> {
  if (ctx.get('Origin') || ctx.get('Sec-Fetch-Site')) throw invalid('a browser sent it');
  const token = (await readForm(ctx))('logout_token');
  if (!token) throw invalid('the form must contain exactly one "logout_token"');
  return token;
}

/** Returns the issuer that a token names. An unknown one must cause no request. */
function findIssuer(token: string, issuers: readonly Issuer[]): Issuer {
  if (token.length > MAX_TOKEN_LENGTH) throw invalid('it is too long');
  const { iss } = check(() => decodeUnverifiedJwt(token)).payload;
  const issuer =
    typeof iss === 'string' && issuers.find((one) => isSameIssuer(one.issuerBaseURL, iss));
  if (!issuer) throw invalid('"iss" is not an issuer of this API');
  return issuer;
}

async function checkSignature(token: string, keys: readonly SigningKey[]): Promise<void> {
  for (const key of keys) if (await isSignedWith(key, token, verifySignature)) return;
  throw invalid('the signature does not verify');
}

function check<T>(judge: () => T): T {
  try {
    return judge();
  } catch (error) {
    throw invalid((error as Error).message);
  }
}

function rejectUnknownKey(error: unknown): never {
  const { code } = (error ?? {}) as { code?: unknown };
  throw code === 'ERR_SIGNING_KEY_NOT_FOUND' ? invalid('no key of the issuer fits') : error;
}

function invalid(detail: string): AuthError {
  const error = new AuthError('ERR_LOGOUT_TOKEN', { detail });
  // Koa keeps only the headers of the error.
  error.headers = NOT_STORED;
  return error;
}

function checkOptions(options: LogoutTokenOptions) {
  const given = asOptions<LogoutTokenOptions>(options);
  const { issuer, clientID, clockTolerance = 60, ...others } = given;
  const { algorithms = SIGNING_ALGORITHMS, ...unknown } = others;
  const issuers = [issuer ?? []].flat();
  const clientIDs = [clientID ?? []].flat();
  const faults = new OptionFaults();
  faults.add(
    issuers.length === 0 || issuers.some((one) => typeof one?.signingKeys !== 'function'),
    'issuer must be made with createIssuer',
  );
  faults.add(
    clientIDs.length === 0 || !clientIDs.every(isText),
    'clientID must be a non-empty string or a list of them',
  );
  faults.addClockTolerance(clockTolerance);
  faults.add(
    !areAlgorithmsOf('any', algorithms),
    `algorithms must be some of ${SIGNING_ALGORITHMS.join(', ')}`,
  );
  faults.addUnknown(unknown);
  faults.throwIfAny('backChannelLogout');
  return { issuers, clientID: clientIDs, clockTolerance, algorithms: [...algorithms] };
}
