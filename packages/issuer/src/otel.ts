import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel';
import {
  type Attributes,
  context,
  diag,
  metrics,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { HTTP_CHANNEL, type HttpExchange, ISSUER_CHANNEL, type IssuerEvent } from './events.ts';

/** Options of `instrumentResourceServer`, `instrumentClient` and `instrumentIssuer`. */
export interface InstrumentationOptions {
  /**
   * Records requests to the issuer and to APIs, and adds `traceparent` to them. False where
   * `@opentelemetry/instrumentation-http` does so. Default: true
   */
  http?: boolean | undefined;
}

/** Finished operation, for `Recorder`. */
export interface Operation {
  readonly durationMs: number;
  /** From a short list. Undefined when the operation succeeded. */
  readonly errorType?: string | undefined;
  /** True when the caller is not to blame: the span gets the status `Error`. */
  readonly isFault?: boolean | undefined;
  readonly attributes?: Attributes | undefined;
}

// Boundaries that the semantic conventions for HTTP advise, and finer ones for work without a network.
const BOUNDARIES_SECONDS = [
  ...[0.0001, 0.00025, 0.0005, 0.001, 0.0025],
  ...[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
];

/**
 * Records with the global providers of `@opentelemetry/api`, in the name of one package. Make it after the
 * providers were registered.
 *
 * @example
 * const recorder = new Recorder('@koa-oauth/client');
 * const recordSignIn = recorder.operation('koa_oauth.sign_in', 'Duration of sign-ins');
 * recordSignIn({ durationMs: 12.5 });
 */
export class Recorder {
  readonly #tracer;
  readonly #meter;

  constructor(scope: string) {
    this.#tracer = trace.getTracer(scope);
    this.#meter = metrics.getMeter(scope);
  }

  /** Makes the function that records operations: each as a span, and in the histogram `NAME.duration`. */
  operation(name: string, description: string): (operation: Operation) => void {
    const record = this.durations(`${name}.duration`, description);
    return ({ durationMs, errorType, isFault, attributes }) => {
      const all = withErrorType(attributes, errorType);
      const end = performance.now();
      const span = this.#tracer.startSpan(name, { startTime: end - durationMs, attributes: all });
      if (isFault) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end(end);
      record(durationMs, all);
    };
  }

  /** Makes a histogram in seconds. */
  durations(name: string, description: string): (durationMs: number, all?: Attributes) => void {
    const histogram = this.#meter.createHistogram(name, {
      description,
      unit: 's',
      advice: { explicitBucketBoundaries: BOUNDARIES_SECONDS },
    });
    return (durationMs, attributes) => histogram.record(durationMs / 1000, attributes);
  }

  /** Makes a counter. */
  counter(
    name: string,
    unit: string,
    description: string,
  ): (attributes?: Attributes, count?: number) => void {
    const counter = this.#meter.createCounter(name, { description, unit });
    return (attributes, count = 1) => counter.add(count, attributes);
  }
}

/**
 * Calls a listener with each event of a channel. An error of the listener goes to the log of OpenTelemetry:
 * Node would end the process.
 *
 * @returns the function that ends it
 * @example
 * const stop = listenTo<AuthEvent>(AUTH_CHANNEL, ({ type }) => count({ type }));
 */
export function listenTo<Event>(
  channel: string | symbol,
  listener: (event: Event) => void,
): () => void {
  const guarded = (event: unknown) => {
    try {
      listener(event as Event);
    } catch (error) {
      diag.error('koa-oauth: an event was not recorded', error);
    }
  };
  subscribe(channel, guarded);
  return () => {
    unsubscribe(channel, guarded);
  };
}

/**
 * Returns the code of an error as the value of `error.type`. Anything that does not look like a code becomes
 * `_OTHER`, as the semantic conventions say.
 *
 * @example
 * recordRefresh({ durationMs, errorType: errorTypeOf(event.code) });
 */
export function errorTypeOf(code: string | undefined): string {
  return code !== undefined && /^[A-Z][A-Z0-9_]{0,59}$/.test(code) ? code : '_OTHER';
}

/**
 * Records the requests of `createHttpClient`, and failed fetches of metadata and keys. The recorders of
 * both libraries call it. However many do so, everything is recorded once.
 *
 * @returns the function that ends it
 * @example
 * const stop = instrumentIssuer({ http: false });
 */
export function instrumentIssuer({ http = true }: InstrumentationOptions = {}): () => void {
  const stops = [startOnce(ISSUER_CHANNEL, recordFetches)];
  if (http) stops.push(startOnce(HTTP_CHANNEL, recordExchanges));
  return () => {
    for (const stop of stops.splice(0)) stop();
  };
}

const SCOPE = '@koa-oauth/issuer';

/** Running recorders, by channel. */
const running = new Map<string, { users: number; readonly stop: () => void }>();

/** Starts the recorder of a channel, unless it runs. @returns the function that ends this use of it */
function startOnce(channel: string, start: () => () => void): () => void {
  const recorder = running.get(channel) ?? { users: 0, stop: start() };
  running.set(channel, recorder);
  recorder.users += 1;
  return () => {
    recorder.users -= 1;
    if (recorder.users > 0) return;
    running.delete(channel);
    recorder.stop();
  };
}

function recordFetches(): () => void {
  const recorder = new Recorder(SCOPE);
  const countFailure = recorder.counter(
    'koa_oauth.issuer.failed_fetches',
    '{fetch}',
    'Failed fetches of metadata or keys of the issuer',
  );
  const countStale = recorder.counter(
    'koa_oauth.issuer.stale_documents',
    '{document}',
    'Expired metadata or keys that are used because the issuer is down',
  );
  return listenTo<IssuerEvent>(ISSUER_CHANNEL, (event) => {
    if (event.type !== 'refresh_failed' && event.type !== 'stale_used') return;
    const count = event.type === 'stale_used' ? countStale : countFailure;
    const { hostname } = new URL(event.issuer);
    count({ 'koa_oauth.issuer.document': event.what, 'server.address': hostname });
  });
}

/** Records by the semantic conventions for HTTP clients, except `url.full`: a path can name a person. */
function recordExchanges(): () => void {
  const tracer = trace.getTracer(SCOPE);
  const recordDuration = new Recorder(SCOPE).durations(
    'http.client.request.duration',
    'Duration of HTTP client requests.',
  );
  const started = new WeakMap<HttpExchange, { span: Span; at: number; attributes: Attributes }>();
  const { start, asyncEnd } = tracingChannel(HTTP_CHANNEL);
  const stops = [
    listenTo<HttpExchange>(start.name, (exchange) => {
      const { protocol, hostname, port } = new URL(exchange.origin);
      const attributes = {
        'http.request.method': exchange.method,
        'server.address': hostname,
        'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
      };
      const span = tracer.startSpan(exchange.method, { kind: SpanKind.CLIENT, attributes });
      started.set(exchange, { span, at: performance.now(), attributes });
      propagation.inject(trace.setSpan(context.active(), span), exchange.headers);
    }),
    listenTo<HttpExchange>(asyncEnd.name, (exchange) => {
      const { status, code } = exchange;
      const request = started.get(exchange);
      if (request === undefined) return;
      const isError = status === undefined || status >= 400;
      const errorType = isError ? String(status ?? errorTypeOf(code)) : undefined;
      const outcome = withErrorType(
        status === undefined ? {} : { 'http.response.status_code': status },
        errorType,
      );
      request.span.setAttributes(outcome);
      if (isError) request.span.setStatus({ code: SpanStatusCode.ERROR });
      request.span.end();
      recordDuration(performance.now() - request.at, { ...request.attributes, ...outcome });
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

function withErrorType(attributes: Attributes = {}, errorType: string | undefined): Attributes {
  return errorType === undefined ? attributes : { ...attributes, 'error.type': errorType };
}
