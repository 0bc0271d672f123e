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

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

const durations = new Histogram({
  name: 'http_request_duration_seconds',
  help: 'From a request to its answer. The route is the declared one, never what was asked for',
  labelNames: ['method', 'route', 'status'],
  buckets: SECONDS,
});

const tokens = new Counter({
  name: 'access_tokens_total',
  help: 'Requests by what became of their access token: verified, cached, or why it was refused',
  labelNames: ['outcome'],
});

// Has a worker answer the primary that asks for its figures, and lets the primary ask.
const workers = new AggregatorRegistry();

// Of this process: CPU, memory, event loop.
collectDefaultMetrics();

/** Measures how long each answer takes, by the route that gave it. */
export const measureRequests: Middleware = async function measureRequests(ctx, next) {
  const stop = durations.startTimer();
  try {
    await next();
  } finally {
    const { _matchedRoute: route } = ctx as { _matchedRoute?: unknown };
    const matched = typeof route === 'string' ? route : 'none';
    stop({ method: matched === 'none' ? 'any' : ctx.method, route: matched, status: ctx.status });
  }
};

/** Counts what becomes of access tokens. Labels are of a bounded list. */
export function countToken(event: AuthEvent): void {
  const verified = event.type === 'verified' && (event.cached ? 'cached' : 'verified');
  tokens.inc({ outcome: verified || (event as { reason: string }).reason });
}

/** Answers `GET /metrics`, on a port of its own: with this process's, or with all workers' together. */
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
