import type { Disturbance, Ledger } from './ledger.ts';

/** Answer of a service. */
export interface Answer {
  readonly method: string;
  readonly url: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** Time of the request. */
  readonly begun: number;
}

const STORE: readonly Disturbance[] = ['sessions'];
const ISSUER: readonly Disturbance[] = ['sign-in'];
const WRONG: readonly Disturbance[] = ['wrong answers'];

/** Disturbances that explain an error, by its `code`. */
const EXPLAINED_BY: Readonly<Record<string, readonly Disturbance[]>> = {
  ERR_SESSION_STORE: STORE,
  ERR_ISSUER_UNAVAILABLE: ISSUER,
  ERR_INVALID_METADATA: ISSUER,
  ERR_AUTHORIZATION_UNAVAILABLE: ISSUER,
  ERR_TOKEN_ENDPOINT_UNAVAILABLE: ISSUER,
  ERR_TOKEN_RESPONSE: WRONG,
  ERR_ID_TOKEN: WRONG,
  ERR_TOKEN_REQUEST_REFUSED: WRONG,
  ERR_API_TOKEN_REFUSED: ['clock', 'keys'],
  // The API asks Redis for revoked tokens.
  ERR_API_UNAVAILABLE: ['api', 'database', 'sessions'],
};
const NEEDS_OF_API_ERROR: Readonly<Record<string, readonly Disturbance[]>> = {
  ERR_STORE_UNAVAILABLE: ['database'],
  ERR_ISSUER_UNAVAILABLE: ['keys'],
  ERR_REVOCATION_UNAVAILABLE: STORE,
};
const SIGN_IN_PATHS = ['/login', '/callback'];

export interface WebAsker {
  readonly ledger: Ledger;
  readonly isSignedIn: boolean;
  /** True when the sessions are on the small disk. */
  readonly isOnDisk: boolean;
  /** Statuses that are correct for this step. */
  readonly mayMeet: readonly number[];
}

/** Judges an answer of the web app: an error needs a cause and the correct status. */
export function judgeWebAnswer(answer: Answer, asker: WebAsker): void {
  const { method, url, status, body, begun } = answer;
  if (status < 400 || asker.mayMeet.includes(status)) return;
  const { pathname } = new URL(url);
  const [, code = ''] = /<code>(ERR_[A-Z_]+)<\/code>/.exec(body) ?? [];
  const what = `${status} ${code || 'without a code'}`;
  const where = `${method} ${pathname.replace(/[\w-]{36}/, 'ID')}: ${what}`;
  judgeStatus(answer, where, asker.ledger);
  // A page with the form that could not be saved has no code.
  const known = EXPLAINED_BY[code || (status === 503 ? 'ERR_API_UNAVAILABLE' : '')] ?? [];
  const needs = known === STORE && asker.isOnDisk ? (['disk'] as const) : known;
  if (known === ISSUER && asker.isSignedIn && !SIGN_IN_PATHS.includes(pathname)) {
    asker.ledger.wrong('a signed-in user does not need the issuer', where, begun);
  } else {
    asker.ledger.failure(needs, `web app, ${what}`, begun, where);
  }
}

/** Judges an answer of the API to a token that it must accept. */
export function judgeApiAnswer(
  answer: Answer,
  expected: readonly number[],
  ledger: Ledger,
): boolean {
  const { method, url, status, begun } = answer;
  if (expected.includes(status)) return true;
  const code = codeOf(answer);
  const where = `${method} ${new URL(url).pathname.replace(/[\w-]{36}/, 'ID')}: ${status} ${code}`;
  judgeStatus(answer, where, ledger);
  if (status < 500) {
    const needs: Disturbance[] = status === 401 ? ['keys'] : [];
    ledger.failure(needs, `API, ${status} ${code} to a valid token`, begun, where);
  } else {
    ledger.failure(NEEDS_OF_API_ERROR[code] ?? [], `API, ${status} ${code}`, begun, where);
  }
  return false;
}

/** Judges an answer of the API to a forged token. */
export function judgeForged(answer: Answer, ledger: Ledger): boolean {
  if (answer.status === 401) return true;
  if (answer.status < 400) {
    ledger.wrong('a forged token opens nothing', `${answer.status}`, answer.begun);
    return false;
  }
  return judgeApiAnswer(answer, [], ledger);
}

function codeOf({ body }: Answer): string {
  const [, code = 'without a code'] = /"code":"(\w+)"/.exec(body) ?? [];
  return code;
}

/** Checks that no error is unexpected, and that every 503 has a `Retry-After`. */
function judgeStatus({ status, headers, begun }: Answer, where: string, ledger: Ledger): void {
  if (status === 500) ledger.wrong('no error is unexpected', where, begun);
  if (status === 503 && headers['retry-after'] === undefined) {
    ledger.wrong('a 503 has a Retry-After', where, begun);
  }
}
