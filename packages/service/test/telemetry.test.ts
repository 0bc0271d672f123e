import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as after } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { context, metrics, propagation, trace } from '@opentelemetry/api';
import Koa, { type Middleware } from 'koa';
import { kindOf, OtlpReceiver } from '../../../test/support/otlp-receiver.ts';
import { startTelemetry, type TraceRequestsOptions, traceRequests } from '../src/telemetry.ts';

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const traceparent = `00-${TRACE_ID}-b7ad6b7169203331-01`;

let receiver: OtlpReceiver | undefined;
let server: Server | undefined;
let warnings: object[];
const logger = { warn: (members: object) => warnings.push(members) };

beforeEach(() => {
  warnings = [];
});
afterEach(async () => {
  server?.closeAllConnections();
  server?.close();
  await receiver?.stop();
  for (const api of [trace, metrics, context, propagation]) api.disable();
  for (const name of Object.keys(process.env)) {
    if (name.startsWith('OTEL_')) delete process.env[name];
  }
});

async function start(status?: number | 'never') {
  receiver = await OtlpReceiver.start(status);
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = receiver.url;
  return { receiver, telemetry: startTelemetry({ serviceName: 'hello', logger }) };
}

async function serve(route: Middleware, options?: TraceRequestsOptions): Promise<string> {
  const app = new Koa();
  app.silent = true;
  app.use(traceRequests(options));
  app.use(route);
  server = createServer(app.callback()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Answer {
  readonly active: { readonly traceId: string; readonly spanId: string };
  /** Headers of a request that is sent on. */
  readonly sent: object;
}

const order: Middleware = (ctx) => {
  ctx._matchedRoute = '/orders/:id';
  const sent = {};
  propagation.inject(context.active(), sent);
  ctx.body = { active: trace.getActiveSpan()?.spanContext(), sent };
};

test('a request is a span and a duration, named by its route, without path and query', async () => {
  process.env.OTEL_RESOURCE_ATTRIBUTES = 'deployment.environment.name=test';
  const { telemetry, receiver } = await start();
  const origin = await serve(order);
  const response = await fetch(`${origin}/orders/grace?code=secret`, { headers: { traceparent } });
  const { active } = (await response.json()) as Answer;
  await telemetry.stop();
  expect(receiver.spans()).toMatchObject([
    {
      service: 'hello',
      name: 'GET /orders/:id',
      traceId: active.traceId,
      spanId: active.spanId,
      attributes: {
        'http.request.method': 'GET',
        'url.scheme': 'http',
        'http.route': '/orders/:id',
        'http.response.status_code': 200,
      },
    },
  ]);
  const [span] = receiver.spans();
  expect(span && kindOf(span)).toBe('SERVER');
  expect(Object.keys(span?.attributes ?? {})).toHaveLength(4);
  // A stranger's.
  expect(span?.traceId).not.toBe(TRACE_ID);
  expect(receiver.metricsOf('hello')).toEqual(['http.server.request.duration']);
  const text = receiver.requests.map(({ body }) => body).join();
  expect(text).toContain('deployment.environment.name');
  expect(text).not.toMatch(/grace|secret/);
  expect(warnings).toEqual([]);
});

test('the trace of the caller goes on where that is wanted', async () => {
  const { telemetry, receiver } = await start();
  const origin = await serve(order, { continueTrace: true });
  const response = await fetch(origin, { headers: { traceparent, baggage: 'user=ada' } });
  const { active, sent } = (await response.json()) as Answer;
  expect(sent).toEqual({ traceparent: `00-${TRACE_ID}-${active.spanId}-01` });
  await telemetry.stop();
  expect(receiver.spans()).toMatchObject([{ traceId: TRACE_ID, parentSpanId: 'b7ad6b7169203331' }]);
});

test('a made-up method or a failure makes no series of its own', async () => {
  const { telemetry, receiver } = await start();
  const origin = await serve(() => {
    throw new Error('of ada');
  });
  await fetch(origin, { method: 'PROPFIND' });
  await telemetry.stop();
  expect(receiver.spans().map(({ name, attributes }) => ({ name, attributes }))).toEqual([
    {
      name: 'HTTP',
      attributes: {
        'http.request.method': '_OTHER',
        'url.scheme': 'http',
        'http.response.status_code': 500,
        'error.type': '500',
      },
    },
  ]);
});

test('a collector that refuses causes one warning, without its words', async () => {
  process.env.OTEL_BSP_SCHEDULE_DELAY = '10';
  const { telemetry, receiver } = await start(400);
  const origin = await serve(order);
  for (let sent = 1; sent <= 2; sent += 1) {
    await fetch(origin);
    while (receiver.requests.length < sent) await after(5);
  }
  await telemetry.stop();
  expect(receiver.requests.length).toBeGreaterThan(2);
  expect(warnings).toEqual([{ reason: '400' }]);
});

test('a collector that never answers holds up no request, and the stop for a second', async () => {
  process.env.OTEL_BSP_SCHEDULE_DELAY = '10';
  const { telemetry, receiver } = await start('never');
  const origin = await serve(order);
  await fetch(origin);
  while (receiver.requests.length < 1) await after(5);
  for (let i = 0; i < 20; i += 1) expect((await fetch(origin)).status).toBe(200);
  const stopping = performance.now();
  await telemetry.stop();
  // The exporter itself would wait for ten seconds.
  expect(performance.now() - stopping).toBeLessThan(5000);
});
