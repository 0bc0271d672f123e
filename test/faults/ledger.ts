/** Effects that a fault may have. Every other effect is wrong. */
export type Disturbance =
  /** Connections to the issuer. */
  | 'issuer'
  /** Sign-ins: 503. Signed-in users must see no effect. */
  | 'sign-in'
  /** The issuer's answers arrive, but cannot be used: 502. */
  | 'wrong answers'
  /** The issuer's clock: its tokens are refused, 401. */
  | 'clock'
  /** The issuer's keys are not its keys: its tokens are refused, 401. */
  | 'keys'
  /** Connections to the API. */
  | 'api'
  | 'database'
  /** Connections to the web app. */
  | 'web'
  /** The store of the sessions: 503. */
  | 'sessions'
  /** The disk of the sessions of the one web app that keeps them in a file: 503. */
  | 'disk';

/** Time from the begin of a fault until everything works again. */
export interface FaultWindow {
  readonly name: string;
  readonly disturbs: readonly Disturbance[];
  readonly begun: number;
  /** End of the fault. */
  ended?: number;
  /** Time when every worker had succeeded again. */
  well?: number;
  /** Time when failures had stopped too. */
  settled?: number;
  good: number;
  /** Number of failures that the fault explains. */
  failed: number;
  lastFailure: number;
  /** Number of failures that it does not explain. */
  wrong: number;
}

export interface Wrong {
  readonly rule: string;
  readonly example: string;
  count: number;
}

/** Lifetime of a token. */
const EXPLAINS_FOR_MS = 30_000;

/** Counts and judges results. Times are those of `performance.now()`. */
export class Ledger {
  readonly windows: FaultWindow[] = [];
  readonly skipped: string[] = [];
  /** Broken rules, each with its first example. */
  readonly wrongs = new Map<string, Wrong>();
  /** Counters by name. */
  readonly counts = new Map<string, number>();

  begin(name: string, disturbs: readonly Disturbance[]): FaultWindow {
    const begun = performance.now();
    const window = { name, disturbs, begun, good: 0, failed: 0, lastFailure: 0, wrong: 0 };
    this.windows.push(window);
    return window;
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  good(): void {
    const window = this.#openSince(performance.now()).at(-1);
    if (window) window.good += 1;
  }

  /**
   * Records a failure.
   *
   * @param needs disturbances, one of which must have been active since `begun`
   * @param details example for a failure without a cause
   */
  failure(needs: readonly Disturbance[], what: string, begun: number, details = what): void {
    const window = this.#openSince(begun).find(({ disturbs }) =>
      disturbs.some((one) => needs.includes(one)),
    );
    if (!window) {
      this.wrong('every failure has a cause', details, begun);
      return;
    }
    window.failed += 1;
    window.lastFailure = performance.now();
    this.count(`allowed: ${what}`);
  }

  /**
   * Records the end of a session. It is allowed within the lifetime of a token after a fault that
   * made the API refuse a token and the web app refuse its renewal: that used up the refresh token.
   */
  sessionEnded(example: string, begun: number): void {
    const isExplained = this.#openSince(begun - EXPLAINS_FOR_MS).some(
      ({ disturbs }) =>
        disturbs.includes('wrong answers') &&
        (disturbs.includes('keys') || disturbs.includes('clock')),
    );
    if (isExplained) this.count('allowed: a session ended that had its renewal refused');
    else this.wrong('a signed-in user stays signed in', example, begun);
  }

  wrong(rule: string, example: string, begun = performance.now()): void {
    const window = this.#openSince(begun).at(-1);
    if (window) window.wrong += 1;
    const known = this.wrongs.get(rule);
    const when = window ? ` during "${window.name}"` : ' while there was no fault';
    if (known) known.count += 1;
    else this.wrongs.set(rule, { rule, example: example + when, count: 1 });
    process.stderr.write(`wrong: ${rule}: ${example}${when}\n`);
  }

  #openSince(time: number): FaultWindow[] {
    return this.windows.filter(({ settled }) => settled === undefined || settled >= time);
  }
}
