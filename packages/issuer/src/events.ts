import { channel, tracingChannel } from 'node:diagnostics_channel';

/** A key of the published set that cannot be used, and why. */
export interface LeftOutKey {
  readonly kid: string | undefined;
  readonly reason: string;
}

/** Change of an issuer's keys or metadata. No event carries a token or a key. */
export type IssuerEvent = IssuerChange & { readonly issuer: string };

/** Event before its issuer is added. */
export type IssuerChange =
  | { readonly type: 'keys_refreshed'; readonly keys: number }
  /** Keys in the issuer's set that cannot be used, and why. */
  | { readonly type: 'keys_left_out'; readonly leftOut: readonly LeftOutKey[] }
  | {
      readonly type: 'refresh_failed';
      readonly what: 'metadata' | 'keys';
      readonly detail: string;
    }
  /** An expired document is used because its source is down. Once per failed fetch. */
  | { readonly type: 'stale_used'; readonly what: 'metadata' | 'keys'; readonly ageMs: number };

/**
 * Name of the `node:diagnostics_channel` on which each `IssuerEvent` is published.
 *
 * @example
 * subscribe(ISSUER_CHANNEL, (event) => logger.info(event));
 */
export const ISSUER_CHANNEL = 'koa-oauth:issuer';

/**
 * Makes the function that publishes events: on a `node:diagnostics_channel`, and to a callback of the
 * application. A callback that throws, or whose promise is rejected, has no effect.
 *
 * A subscriber of the channel must not throw: Node turns that into an uncaught exception.
 *
 * @example
 * const emit = createEmitter<AuthEvent>('koa-oauth:auth', options.onEvent);
 * emit({ type: 'verified', clientId: 'web', cached: false });
 */
export function createEmitter<Event extends object>(
  channelName: string,
  onEvent?: (event: Event) => unknown,
): (event: Event) => void {
  const subscribers = channel(channelName);
  return function emit(event) {
    if (subscribers.hasSubscribers) subscribers.publish(event);
    if (onEvent === undefined) return;
    try {
      Promise.resolve(onEvent(event)).catch(() => {});
    } catch {}
  };
}

const PRINT_AGAIN_AFTER_MS = 10_000;

/** Line of an event: its kind, of which there are few, and a detail. */
export type EventLine = readonly [kind: string, detail?: string | undefined];

/**
 * Makes the default listener, for development: it prints a warning for each failure. A kind of failure is
 * printed once in ten seconds, and then with the number of those that were not.
 *
 * @param toLine returns undefined for an event that is no failure
 * @returns undefined where `NODE_ENV` is `production` or `test`
 * @example
 * const emit = createEmitter(AUTH_CHANNEL, onEvent ?? createPrinter(printedLine));
 */
export function createPrinter<Event>(
  toLine: (event: Event) => EventLine | undefined,
): ((event: Event) => void) | undefined {
  const { NODE_ENV } = process.env;
  if (NODE_ENV === 'production' || NODE_ENV === 'test') return undefined;
  const printed = new Map<string, { at: number; unprinted: number }>();
  return function print(event) {
    const [kind, detail] = toLine(event) ?? [];
    if (kind === undefined) return;
    const last = printed.get(kind);
    const now = performance.now();
    if (last !== undefined && now - last.at < PRINT_AGAIN_AFTER_MS) {
      last.unprinted += 1;
      return;
    }
    printed.set(kind, { at: now, unprinted: 0 });
    const more = last?.unprinted ? ` (and ${last.unprinted} more before)` : '';
    // No character of a detail can write a line of its own.
    const text = detail === undefined ? '' : `: ${detail.slice(0, 500).replace(/[^ -~]/g, '?')}`;
    console.warn(`koa-oauth: ${kind}${text}${more}`);
  };
}

/** Returns the line of an issuer's event, for `createPrinter`. */
export function printedLine(event: IssuerEvent): EventLine | undefined {
  if (event.type === 'refresh_failed') {
    return [`the ${event.what} of ${event.issuer} cannot be fetched`, event.detail];
  }
  if (event.type !== 'keys_left_out') return undefined;
  const reasons = event.leftOut.map(({ kid, reason }) => `${kid ?? 'no kid'}, ${reason}`);
  return [`keys of ${event.issuer} are not used`, reasons.join('; ')];
}

/** One HTTP exchange, at its start and at its end. It has no path, query, header or body of the request. */
export interface HttpExchange {
  readonly method: string;
  /** Scheme, host and port of the other server. */
  readonly origin: string;
  /** Headers that a subscriber of the start adds to the request, such as `traceparent`. */
  readonly headers: Record<string, string>;
  /** Status of the answer. Undefined at the start, and without an answer. */
  status?: number;
  /** Code of the error. Undefined at the start, and with an answer. */
  code?: string;
}

/**
 * Name of the `tracingChannel` of `node:diagnostics_channel` on which each exchange of an `HttpClient` is
 * published as an `HttpExchange`: as `start`, and the same object as `asyncEnd`.
 *
 * @example
 * tracingChannel(HTTP_CHANNEL).asyncEnd.subscribe((exchange) => logger.debug(exchange));
 */
export const HTTP_CHANNEL = 'koa-oauth:http';

const exchanges = tracingChannel<unknown, HttpExchange>(HTTP_CHANNEL);

/** Sends a request, and publishes its start and its end if the channel has subscribers. */
export async function publishExchange<Answer extends { readonly status: number }>(
  method = 'GET',
  { origin }: URL,
  send: (added?: HttpExchange['headers']) => Promise<Answer>,
): Promise<Answer> {
  if (!exchanges.hasSubscribers) return send();
  const exchange: HttpExchange = { method, origin, headers: {} };
  exchanges.start.publish(exchange);
  try {
    const answer = await send(exchange.headers);
    exchange.status = answer.status;
    return answer;
  } catch (error) {
    exchange.code = (error as { code: string }).code;
    throw error;
  } finally {
    exchanges.asyncEnd.publish(exchange);
  }
}

/** Maximum milliseconds that a request waits for a function of the application. */
export const ANSWER_WITHIN_MS = 2000;

/**
 * Limits the wait for a function of the application: one that never answers must not hold a request for
 * ever. An answer that is no promise, or is there at once, takes no timer. A late answer has no effect,
 * also when it is an error.
 *
 * @returns the answer, or a promise of it that is rejected with the code `ETIMEDOUT` after two seconds
 * @example
 * const isKnown = await answerInTime(store.has(key));
 */
export function answerInTime<T>(answer: T | PromiseLike<T>): T | Promise<T> {
  if (!isPromise(answer)) return answer;
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    let isSettled = false;
    const settle = () => {
      isSettled = true;
      clearTimeout(timer);
    };
    answer.then(
      (value) => {
        settle();
        resolve(value);
      },
      (error) => {
        settle();
        reject(error);
      },
    );
    // Promises that are resolved already are handled before this.
    process.nextTick(() => {
      if (isSettled) return;
      // After a time in which the process was busy, an answer that has arrived is read before this.
      const giveUp = () => setImmediate(() => reject(noAnswer()));
      timer = setTimeout(giveUp, ANSWER_WITHIN_MS).unref();
    });
  });
}

/** Reports whether an error is the one of `answerInTime`. */
export function isNoAnswer(error: unknown): boolean {
  return (error as { code?: unknown } | null | undefined)?.code === 'ETIMEDOUT';
}

function noAnswer(): Error {
  const error = new Error(`no answer within ${ANSWER_WITHIN_MS} ms`);
  return Object.assign(error, { code: 'ETIMEDOUT' });
}

function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}
