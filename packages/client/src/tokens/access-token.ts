import type { ClientContext } from '../client-context.ts';
import { scopeParameter } from '../oauth/scope.ts';
import type { Session } from '../session/session.ts';
import { BackOff } from './back-off.ts';
import {
  KeptTokens,
  kept,
  type SuppliedToken,
  type TokenSource,
  type WantedToken,
} from './kept-tokens.ts';
import { leased, oneAtATime } from './leased.ts';
import { refreshed } from './refreshed.ts';

/** Requested access token; without members, that of the sign-in. */
export interface AccessTokenParams {
  /** Fewer scopes than the sign-in was granted, or those to ask for at another API. */
  scope?: string | readonly string[] | undefined;
  /** The API that the token is for: its identifier. */
  audience?: string | undefined;
}

/** Parameters of callers within this package. */
export interface SupplyParams extends AccessTokenParams {
  /** The value of a token that an API refused: it is renewed, unless that was done meanwhile. */
  insteadOf?: string | undefined;
}

/** Options that only tests give. */
interface AccessTokensTuning {
  leaseDuration?: number;
  /** From 0 up to 1. */
  random?: () => number;
  /** Milliseconds of a monotonic clock. */
  monotonicNow?: () => number;
}

const LEASE_MS = 10_000;

/** Keeps sessions supplied with valid access tokens. */
export class AccessTokens {
  readonly #source: TokenSource;
  readonly #maxWaitMs: number;

  constructor(
    context: ClientContext,
    {
      leaseDuration = LEASE_MS,
      random = Math.random,
      monotonicNow = () => performance.now(),
    }: AccessTokensTuning = {},
  ) {
    const backOff = new BackOff({ monotonicNow, random });
    const refusals = new BackOff({ monotonicNow, random });
    const tokens = new KeptTokens(context, backOff, refusals);
    const request = refreshed({ context, tokens, backOff, refusals });
    const lease = leased(request, { context, tokens, leaseDuration, random });
    this.#source = kept(oneAtATime(lease), tokens);
    this.#maxWaitMs = leaseDuration * 1.5;
  }

  /**
   * Supplies a valid access token: one that the session has or, when that has run out, a new one
   * (RFC 6749 §6). One caller at a time, over all processes, asks for one.
   *
   * @returns the token, and the session as it is now
   * @throws OidcError, as `ctx.oidc.accessToken()` does
   */
  async supply(session: Session, params: SupplyParams = {}): Promise<SuppliedToken> {
    const wanted = checkParams(params);
    return this.#source({ session, wanted, deadline: performance.now() + this.#maxWaitMs });
  }
}

function checkParams({ scope = '', audience, insteadOf }: SupplyParams): WantedToken {
  if (audience !== undefined && (typeof audience !== 'string' || audience === '')) {
    throw new TypeError('"audience" must be the identifier of an API');
  }
  return { scope: scopeParameter(scope) || undefined, audience, insteadOf };
}
