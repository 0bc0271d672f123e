/** What a fault may break. Whatever else breaks meanwhile is wrong. */
export type Disturbance =
  /** Connections to the issuer. */
  | 'issuer'
  /** Sign-ins: 503. Who is signed in must not notice. */
  | 'sign-in'
  /** The issuer's answers are believed to be answers, and can't be used: 502. */
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

/** From the beginning of a fault until all is well again. */
export interface FaultWindow {
  readonly name: string;
  readonly disturbs: readonly Disturbance[];
  readonly begun: number;
  /** When the fault was taken away. */
  ended?: number;
  /** When everyone had done something well since. */
  well?: number;
  /** When nothing failed any more either. */
  settled?: number;
  good: number;
  /** What failed as it may. */
  failed: number;
  lastFailure: number;
  /** What failed as it may not. */
  wrong: number;
}

export interface Wrong {
  readonly rule: string;
  readonly example: string;
  count: number;
}

/** Milliseconds: as long as a token lasts. */
const EXPLAINS_FOR = 30_000;

/** Counts and judges, from outside. Times are those of `performance.now()`. */
export class Ledger {
  readonly windows: FaultWindow[] = [];
  readonly skipped: string[] = [];
  /** What is wrong in the end: each rule that was broken, with its first example. */
  readonly wrongs = new Map<string, Wrong>();
  /** What was done and seen, by name. */
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
   * Something failed that began then.
   *
   * @param needs a fault that disturbs one of these must have been there meanwhile
   * @param details for the example, when there was none
   */
  failure(needs: readonly Disturbance[], what: string, begun: number, details = what): void {
    const window = this.#openSince(begun).find(({ disturbs }) =>
      disturbs.some((one) => needs.includes(one)),
    );
    if (!window) {
      this.wrong('what fails has its cause', details, begun);
      return;
    }
    window.failed += 1;
    window.lastFailure = performance.now();
    this.count(`allowed: ${what}`);
  }

  /**
   * Somebody who was signed in is not. That may be, within the lifetime of a token, behind a fault
   * that made the API refuse a token and the web app the one that it got for it: the refresh token
   * was spent on that, and nobody asks again while the token of before will do.
   */
  sessionEnded(example: string, begun: number): void {
    const isExplained = this.#openSince(begun - EXPLAINS_FOR).some(
      ({ disturbs }) =>
        disturbs.includes('wrong answers') &&
        (disturbs.includes('keys') || disturbs.includes('clock')),
    );
    if (isExplained) this.count('allowed: a session ended that had its renewal refused');
    else this.wrong('who is signed in stays so', example, begun);
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
