import type { DroppedScope } from './dropped-scopes.ts';
import type { LogType } from './log-types.ts';

/** What came of sending a user to an identity provider. */
export type ConnectionOutcome = 'sent' | 'returned' | 'denied' | 'failed';

/** One thing that happened, in words that hold no secret. */
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
      /** `session`: the browser was signed in already. */
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
      /** `not asked`: given before, or the API asks for none. */
      readonly outcome: 'accepted' | 'declined' | 'not asked';
    }
  | {
      readonly step: 'actions';
      readonly names: readonly string[];
      readonly denied?: string | undefined;
      /** Names of the claims that were set; their values are not kept. */
      readonly claims: readonly string[];
      readonly scopeAdded: readonly string[];
      readonly scopeRemoved: readonly string[];
    }
  | { readonly step: 'code' }
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
      /** What the client is not told. */
      readonly reason?: string | undefined;
    }
  | { readonly step: 'revocation'; readonly user?: string | undefined }
  | { readonly step: 'logout'; readonly user?: string | undefined }
  | { readonly step: 'fault'; readonly fault: string };

/** A step of a transaction, with when it was taken. */
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

/** A transaction while it goes on. */
export interface OpenTransaction {
  readonly steps: readonly TimedStep[];
  add(step: Step, type?: LogType): void;
  /** Makes it known by the id of an interaction or a grant, which is never shown. */
  link(key: string): void;
}

export interface Transactions {
  begin(): OpenTransaction;
  find(key: string): OpenTransaction | undefined;
  /** The latest first. */
  list(): Transaction[];
  clear(): void;
}

const MOST = 200;
const MOST_STEPS = 50;

/** The last transactions, in memory. @param now epoch milliseconds. */
export function createTransactions(now: () => number = Date.now): Transactions {
  const kept: (OpenTransaction & { id: number; keys: Set<string> })[] = [];
  const byKey = new Map<string, OpenTransaction>();
  let count = 0;
  const drop = (): void => {
    const oldest = kept.shift();
    for (const key of oldest?.keys ?? []) if (byKey.get(key) === oldest) byKey.delete(key);
  };
  return {
    begin() {
      const steps: TimedStep[] = [];
      const keys = new Set<string>();
      count += 1;
      const transaction = {
        id: count,
        keys,
        steps,
        add(step: Step, type?: LogType) {
          if (steps.length >= MOST_STEPS) return;
          steps.push({ at: new Date(now()).toISOString(), ...(type && { type }), ...step });
        },
        link(key: string) {
          // Nothing would take the key of a dropped one out again.
          if (keys.size >= MOST_STEPS || !kept.includes(transaction)) return;
          keys.add(key);
          byKey.set(key, transaction);
        },
      };
      kept.push(transaction);
      if (kept.length > MOST) drop();
      return transaction;
    },
    clear() {
      kept.splice(0);
      byKey.clear();
    },
    find: (key) => byKey.get(key),
    list: () =>
      kept.toReversed().map(({ id, steps }) => ({
        id,
        client: steps.flatMap((one) => (one.step === 'request' ? one.client : [])).at(0),
        user: steps.flatMap((one) => ('user' in one && one.user ? one.user : [])).at(-1),
        steps: structuredClone(steps) as TimedStep[],
      })),
  };
}
