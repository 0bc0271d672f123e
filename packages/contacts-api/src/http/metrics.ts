import cluster from 'node:cluster';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AuthEvent } from '@koa-oauth/resource-server';
import type { Middleware } from 'koa';
import {
  AggregatorRegistry,
  Counter,
  collectDefaultMetrics,
  Histogram,
  register,
} from 'prom-client';

export interface Metrics {
  readonly measureRequests: Middleware;
  readonly countToken: (event: AuthEvent) => void;
}

const BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

const durations = new Histogram({
  name: 'http_request_duration_seconds',
  help: 'Time from a request to its answer, by the declared route, never by the requested path',
  labelNames: ['method', 'route', 'status'],
  buckets: BUCKETS_SECONDS,
});

const tokens = new Counter({
  name: 'access_tokens_total',
  help: 'Access tokens by outcome: verified, cached, or the reason for the refusal',
  labelNames: ['outcome'],
});

// Its creation connects the primary and the workers.
const workers = new AggregatorRegistry();

collectDefaultMetrics();

export const measureRequests: Middleware = async function measureRequests(ctx, next) {
  const stop = durations.startTimer();
  try {
    await next();
  } finally {
    const route: unknown = ctx._matchedRoute;
    // Each made-up method or path would make a new series.
    const labels =
      typeof route === 'string' ? { method: ctx.method, route } : { method: 'any', route: 'none' };
    stop({ ...labels, status: ctx.status });
  }
};

export function countToken(event: AuthEvent): void {
  if (event.type === 'refused') tokens.inc({ outcome: event.reason });
  else tokens.inc({ outcome: event.cached ? 'cached' : 'verified' });
}

/** Answers `GET /metrics`: with the metrics of this process, or of all workers together. */
export async function answerMetrics(
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'GET' || request.url !== '/metrics') {
    response.writeHead(404).end();
    return;
  }
  try {
    const inWorkers = Object.keys(cluster.workers ?? {}).length > 0;
    const text = await (inWorkers ? workers.clusterMetrics() : register.metrics());
    response.writeHead(200, { 'Content-Type': register.contentType }).end(text);
  } catch {
    response.writeHead(500).end();
  }
}
