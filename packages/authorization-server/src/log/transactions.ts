/** Auth0's log event type codes ("Log Type Codes") for what happens at this server. */
export type LogType =
  | 'api_limit'
  | 'f'
  | 'fco'
  | 'fdeac'
  | 'fdeaz'
  | 'fdecc'
  | 'feacft'
  | 'feccft'
  | 'fede'
  | 'feoobft'
  | 'feotpft'
  | 'fepft'
  | 'fepotpft'
  | 'fercft'
  | 'ferrt'
  | 'fertft'
  | 'flo'
  | 'fp'
  | 'fpar'
  | 'fsa'
  | 'fu'
  | 'gd_auth_failed'
  | 'gd_auth_succeed'
  | 'gd_enrollment_complete'
  | 'gd_otp_rate_limit_exceed'
  | 'limit_wc'
  | 'oidc_backchannel_logout_failed'
  | 'oidc_backchannel_logout_succeeded'
  | 's'
  | 'seacft'
  | 'seccft'
  | 'sede'
  | 'sertft'
  | 'slo'
  | 'srrt'
  | 'ssa';

/** Result of sending a user to an identity provider. */
export type ConnectionOutcome = 'sent' | 'returned' | 'denied' | 'failed';

/** A requested scope that is not in the token. */
export interface DroppedScope {
  readonly scope: string;
  /** The setting that removed it, if known. */
  readonly why?: string | undefined;
}

/** One event; its texts contain no secret. */
export type Step =
  | {
      readonly step: 'request';
      readonly endpoint: string;
      readonly grantType?: string | undefined;
      readonly client?: string | undefined;
      readonly scope?: readonly string[] | undefined;
      readonly audience?: string | undefined;
      readonly organization?: string | undefined;
    }
  | {
      readonly step: 'sign-in';
      /** `session`: the browser had signed in before. */
      readonly outcome: 'succeeded' | 'failed' | 'session';
      readonly user?: string | undefined;
      readonly reason?: string | undefined;
    }
  | {
      readonly step: 'connection';
      readonly name: string;
      readonly outcome: ConnectionOutcome;
      readonly reason?: string | undefined;
    }
  | {
      readonly step: 'consent';
      /** `not asked`: given before, or not needed for the API. */
      readonly outcome: 'accepted' | 'declined' | 'not asked';
    }
  | {
      readonly step: 'actions';
      readonly names: readonly string[];
      readonly denied?: string | undefined;
      /** Names of the claims that were set; their values are not recorded. */
      readonly claims: readonly string[];
      readonly scopeAdded: readonly string[];
      readonly scopeRemoved: readonly string[];
    }
  | { readonly step: 'code' }
  | { readonly step: 'device' }
  | {
      readonly step: 'tokens';
      readonly kinds: readonly string[];
      readonly user?: string | undefined;
      readonly audience?: string | undefined;
      readonly scope: readonly string[];
      readonly dropped: readonly DroppedScope[];
    }
  | {
      readonly step: 'refusal';
      readonly status?: number | undefined;
      /** Auth0's code and text, as the client gets them. */
      readonly error: string;
      readonly text?: string | undefined;
      /** Reason that the client does not get. */
      readonly reason?: string | undefined;
    }
  | { readonly step: 'revocation'; readonly user?: string | undefined }
  | { readonly step: 'logout'; readonly user?: string | undefined }
  | { readonly step: 'fault'; readonly fault: string };

/** A step of a transaction with its time. */
export type TimedStep = Step & {
  /** ISO 8601. */
  readonly at: string;
  /** Auth0's log event type code, where it writes a log. */
  readonly type?: LogType | undefined;
};

/** A sign-in up to its tokens, a refresh, or another single request. */
export interface Transaction {
  readonly id: number;
  readonly client?: string | undefined;
  readonly user?: string | undefined;
  readonly steps: readonly TimedStep[];
}

const MAX_TRANSACTIONS = 200;
/** Maximum of steps of one transaction, and of its keys. */
const MAX_STEPS = 50;

export class Transactions {
  readonly #now: () => number;
  readonly #open: OpenTransaction[] = [];
  readonly #byKey = new Map<string, OpenTransaction>();
  #count = 0;

  /** @param now epoch milliseconds. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Begins a transaction; the oldest is dropped when there are too many. */
  begin(): OpenTransaction {
    this.#count += 1;
    const transaction = new OpenTransaction(this.#count, this.#now);
    this.#open.push(transaction);
    if (this.#open.length > MAX_TRANSACTIONS) this.#dropOldest();
    return transaction;
  }

  /** Links a transaction to the id of an interaction or a grant, which is never shown. */
  link(key: string, transaction: OpenTransaction): void {
    // Nothing removes the keys of a transaction that is already dropped.
    if (transaction.keys.size >= MAX_STEPS || !this.#open.includes(transaction)) return;
    transaction.keys.add(key);
    this.#byKey.set(key, transaction);
  }

  find(key: string): OpenTransaction | undefined {
    return this.#byKey.get(key);
  }

  /** Returns copies, the latest first. */
  list(): Transaction[] {
    return this.#open.toReversed().map(({ id, steps }) => ({
      id,
      client: steps.flatMap((one) => (one.step === 'request' ? one.client : [])).at(0),
      user: steps.flatMap((one) => ('user' in one && one.user ? one.user : [])).at(-1),
      steps: structuredClone(steps) as TimedStep[],
    }));
  }

  clear(): void {
    this.#open.splice(0);
    this.#byKey.clear();
  }

  #dropOldest(): void {
    const oldest = this.#open.shift();
    for (const key of oldest?.keys ?? []) {
      if (this.#byKey.get(key) === oldest) this.#byKey.delete(key);
    }
  }
}

export class OpenTransaction {
  readonly id: number;
  readonly steps: TimedStep[] = [];
  readonly keys = new Set<string>();
  readonly #now: () => number;

  constructor(id: number, now: () => number) {
    this.id = id;
    this.#now = now;
  }

  add(step: Step, type?: LogType): void {
    if (this.steps.length >= MAX_STEPS) return;
    this.steps.push({ at: new Date(this.#now()).toISOString(), ...(type && { type }), ...step });
  }
}
