import { randomUUID } from 'node:crypto';
import { setTimeout as after } from 'node:timers/promises';
import {
  type Attributes,
  context,
  metrics,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { Middleware } from 'koa';

/** Options of `startTelemetry`. */
export interface TelemetryOptions {
  /** Name of the service, unless `OTEL_SERVICE_NAME` is set. */
  readonly serviceName: string;
  /** Gets a warning when the collector cannot be reached, at most once a minute. */
  readonly logger: { warn(members: object, text: string): void };
}

/** Traces and metrics on their way to a collector. */
export interface Telemetry {
  /** Sends what is left, for one second at most. */
  stop(): Promise<void>;
}

const MAX_STOP_MS = 1000;
const REPORT_AGAIN_AFTER_MS = 60_000;

/**
 * Registers the SDK of OpenTelemetry, which sends traces and metrics to a collector (OTLP over HTTP, JSON). The
 * standard variables of the environment apply: `OTEL_EXPORTER_OTLP_ENDPOINT` and `…_HEADERS`,
 * `OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`. A collector that is away slows no request: what does not
 * fit into a queue of 2,048 spans is lost. Baggage of a caller is not passed on.
 *
 * @example
 * const telemetry = startTelemetry({ serviceName: 'hello', logger });
 * service.onStop(() => telemetry.stop());
 * app.use(traceRequests());
 */
export function startTelemetry({ serviceName, logger }: TelemetryOptions): Telemetry {
  const own = { 'service.name': serviceName, 'service.instance.id': randomUUID() };
  const resource = defaultResource()
    .merge(resourceFromAttributes(own))
    .merge(detectResources({ detectors: [envDetector] }));
  const spanProcessors = [new BatchSpanProcessor(new OTLPTraceExporter())];
  const tracers = new BasicTracerProvider({ resource, spanProcessors });
  const reader = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() });
  const meters = new MeterProvider({ resource, readers: [reader] });
  setGlobalErrorHandler(reportFailures(logger));
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(tracers);
  metrics.setGlobalMeterProvider(meters);
  return {
    async stop() {
      const sent = Promise.allSettled([tracers.shutdown(), meters.shutdown()]);
      await Promise.race([sent, after(MAX_STOP_MS, undefined, { ref: false })]);
    },
  };
}

// The answer of a collector is no text of ours, so only codes are reported.
function reportFailures(logger: TelemetryOptions['logger']): (error: unknown) => void {
  let reportedAt = Number.NEGATIVE_INFINITY;
  return function reportFailure(error) {
    const now = performance.now();
    if (now - reportedAt < REPORT_AGAIN_AFTER_MS) return;
    reportedAt = now;
    const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
    logger.warn({ reason: String(code ?? name) }, 'telemetry cannot be sent');
  };
}

/** Options of `traceRequests`. */
export interface TraceRequestsOptions {
  /** True: the caller's trace goes on (`traceparent`). Default: false, for a service that browsers call */
  readonly continueTrace?: boolean | undefined;
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT'];
/** Advice of the semantic conventions. */
const BOUNDARIES_SECONDS = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
];

/**
 * Records a span and a duration for each request, by the semantic conventions for HTTP servers. A request is
 * named by its route in `@koa/router`. No attribute has its path or query: they can hold a code or name a
 * person. Use it before the middleware that answers errors, and after `startTelemetry`.
 *
 * @example
 * app.use(requestLog({ logger, continueTrace: true }));
 * app.use(traceRequests({ continueTrace: true }));
 */
export function traceRequests({ continueTrace = false }: TraceRequestsOptions = {}): Middleware {
  const tracer = trace.getTracer('@koa-oauth/service');
  const durations = metrics
    .getMeter('@koa-oauth/service')
    .createHistogram('http.server.request.duration', {
      description: 'Duration of HTTP server requests.',
      unit: 's',
      advice: { explicitBucketBoundaries: BOUNDARIES_SECONDS },
    });

  return async function traceRequests(ctx, next) {
    const startedAt = performance.now();
    const method = METHODS.includes(ctx.method) ? ctx.method : '_OTHER';
    const attributes: Attributes = {
      'http.request.method': method,
      'url.scheme': ctx.secure ? 'https' : 'http',
    };
    const parent = continueTrace ? propagation.extract(ROOT_CONTEXT, ctx.headers) : ROOT_CONTEXT;
    const name = method === '_OTHER' ? 'HTTP' : method;
    const span = tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, parent);
    let status = 500;
    try {
      await context.with(trace.setSpan(parent, span), next);
      status = ctx.status;
    } finally {
      const route: unknown = ctx._matchedRoute;
      if (typeof route === 'string') attributes['http.route'] = route;
      attributes['http.response.status_code'] = status;
      if (status >= 500) {
        attributes['error.type'] = String(status);
        span.setStatus({ code: SpanStatusCode.ERROR });
      }
      if (typeof route === 'string') span.updateName(`${name} ${route}`);
      span.setAttributes(attributes).end();
      durations.record((performance.now() - startedAt) / 1000, attributes);
    }
  };
}
