import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeEach, expect, test } from '@jest/globals';
import { trace } from '@opentelemetry/api';
import nock from 'nock';
import { Telemetry } from '../../../test/support/telemetry.ts';
import type { AuthOptions } from '../src/index.ts';
import { instrumentClient } from '../src/otel.ts';
import { type IssuerStandIn, standInForIssuer } from './support/issuer-stand-in.ts';
import { startWebApp, type WebApp } from './support/web-app.ts';

/** An API that answers 200, or what it is told, and keeps the headers of each request. */
const received: IncomingHttpHeaders[] = [];
let apiStatus = 200;
const api = createServer(({ headers }, response) => {
  received.push(headers);
  response.writeHead(apiStatus, { 'Content-Type': 'application/json' }).end('{}');
}).listen(0, '127.0.0.1');
await once(api, 'listening');
const { port } = api.address() as AddressInfo;

let issuer: IssuerStandIn;
let app: WebApp;
let telemetry: Telemetry;
let stopRecording: () => void;
let now: number;
const seen: unknown[] = [];

beforeEach(() => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  telemetry = new Telemetry();
  stopRecording = instrumentClient();
  received.length = 0;
  apiStatus = 200;
  now = Date.now();
});
afterEach(async () => {
  stopRecording();
  await app.served.close();
  await telemetry.stop();
  nock.cleanAll();
});
afterAll(() => {
  api.closeAllConnections();
  api.close();
});

/** Starts an app with a span for each request, and a page that calls the API. */
async function start(options: Partial<AuthOptions> = {}): Promise<void> {
  issuer = standInForIssuer();
  const all = {
    now: () => now,
    api: { baseURL: `http://127.0.0.1:${port}/v1` },
    onEvent: () => {},
    ...options,
  };
  app = await startWebApp(issuer, all, async (ctx, next) => {
    if (ctx.path !== '/orders') return next();
    await trace.getTracer('test').startActiveSpan('request', async (span) => {
      const { body } = await ctx.oidc.api
        .get('users/ada/orders', { searchParams: { q: 'secret' } })
        .finally(() => span.end());
      ctx.body = body;
    });
  });
}

/** Returns spans and series, and keeps them for the last test. */
async function recorded() {
  const spans = telemetry.spans();
  const series = await telemetry.series();
  seen.push(
    spans.map(({ name, attributes, events }) => ({ name, attributes, events })),
    series,
  );
  return {
    spans,
    seriesOf: (name: string) =>
      series
        .filter((one) => one.name === name)
        .map(({ attributes, value, unit }) => ({ attributes, value, unit })),
  };
}

const ISSUER_REQUEST = { 'server.address': 'issuer.example', 'server.port': 443 };

test('a sign-in is a span and a duration, and so are the requests to the issuer', async () => {
  await start();
  await app.signIn({ name: 'Ada Lovelace' });
  const { spans, seriesOf } = await recorded();
  const named = (name: string) => spans.filter((span) => span.name === name);
  expect(named('koa_oauth.sign_in')).toMatchObject([{ attributes: {}, status: { code: 0 } }]);
  expect(seriesOf('koa_oauth.sign_in.duration')).toEqual([{ attributes: {}, value: 1, unit: 's' }]);
  const get = { 'http.request.method': 'GET', ...ISSUER_REQUEST, 'http.response.status_code': 200 };
  const post = { ...get, 'http.request.method': 'POST' };
  expect(named('GET').map(({ attributes }) => attributes)).toEqual([get, get]);
  expect(named('POST').map(({ attributes }) => attributes)).toEqual([post]);
  expect(seriesOf('http.client.request.duration')).toEqual([
    { attributes: get, value: 2, unit: 's' },
    { attributes: post, value: 1, unit: 's' },
  ]);
});

test('a call of the API carries the trace of the request on', async () => {
  await start();
  await app.signIn();
  telemetry.spans();
  expect((await app.browser.get('/orders')).status).toBe(200);
  apiStatus = 404;
  await app.browser.get('/orders');
  const { spans } = await recorded();
  const calls = spans.filter(({ name }) => name === 'GET');
  const requests = spans.filter(({ name }) => name === 'request');
  expect(calls).toHaveLength(2);
  for (const [index, call] of calls.entries()) {
    const { traceId, spanId } = call.spanContext();
    expect(received[index]?.traceparent).toBe(`00-${traceId}-${spanId}-01`);
    expect(call.parentSpanContext?.spanId).toBe(requests[index]?.spanContext().spanId);
  }
  const server = { 'server.address': '127.0.0.1', 'server.port': port };
  expect(calls.map(({ attributes, status }) => [attributes, status.code])).toEqual([
    [{ 'http.request.method': 'GET', ...server, 'http.response.status_code': 200 }, 0],
    [
      {
        'http.request.method': 'GET',
        ...server,
        'http.response.status_code': 404,
        'error.type': '404',
      },
      2,
    ],
  ]);
});

test('a traceparent of the app itself is sent as it is', async () => {
  await start();
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const { createHttpClient } = await import('@koa-oauth/issuer');
  await createHttpClient()(`http://127.0.0.1:${port}/`, { headers: { traceparent } });
  expect(received.map((headers) => headers.traceparent)).toEqual([traceparent]);
});

test('a refresh is a span and a duration, and a failed one names its code', async () => {
  await start();
  await app.signIn();
  telemetry.spans();
  now += 3_600_000;
  app.grant({}, { id_token: undefined, access_token: 'access-2', refresh_token: 'refresh-2' });
  await app.browser.get('/private');
  now += 3_600_000;
  issuer.onTokenRequest = () => [400, { error: 'invalid_grant', error_description: 'of Ada' }];
  await app.browser.get('/private');
  const { spans, seriesOf } = await recorded();
  const refreshes = spans.filter(({ name }) => name === 'koa_oauth.token_refresh');
  expect(refreshes.map(({ attributes, status }) => [attributes, status.code])).toEqual([
    [{}, 0],
    [{ 'error.type': 'ERR_TOKEN_REQUEST_REFUSED' }, 2],
  ]);
  expect(seriesOf('koa_oauth.token_refresh.duration')).toEqual([
    { attributes: {}, value: 1, unit: 's' },
    { attributes: { 'error.type': 'ERR_TOKEN_REQUEST_REFUSED' }, value: 1, unit: 's' },
  ]);
});

test('a refused callback is not a fault of the app, an unavailable issuer is one', async () => {
  await start();
  await app.browser.get('/callback?code=code-1&state=state-1');
  nock.cleanAll();
  await app.browser.get('/login');
  const { spans } = await recorded();
  const signIns = spans.filter(({ name }) => name === 'koa_oauth.sign_in');
  expect(signIns.map(({ attributes, status }) => [attributes, status.code])).toEqual([
    [{ 'error.type': 'ERR_UNEXPECTED_CALLBACK' }, 0],
    [{ 'error.type': 'ERR_ISSUER_UNAVAILABLE' }, 2],
  ]);
});

test('ended sessions are counted by reason, other failures by code', async () => {
  await start();
  await app.signIn();
  await app.signIn();
  issuer.revocationStatus = 503;
  await app.browser.post('/logout');
  await app.browser.post('/logout', { 'sec-fetch-site': 'cross-site' });
  const { seriesOf } = await recorded();
  const ended = (reason: string) => ({
    attributes: { 'koa_oauth.session.end_reason': reason },
    value: 1,
    unit: '{session}',
  });
  expect(seriesOf('koa_oauth.ended_sessions')).toEqual([ended('replaced'), ended('logout')]);
  const failure = (type: string, code: string) => ({
    attributes: { 'koa_oauth.failure.type': type, 'error.type': code },
    value: 1,
    unit: '{failure}',
  });
  expect(seriesOf('koa_oauth.failures')).toEqual([
    failure('warning', 'ERR_TOKEN_REQUEST_REFUSED'),
    failure('request_failed', 'ERR_CROSS_SITE'),
  ]);
});

// Last, when there is something to search.
test('no attribute has a token, a code, a path, a query or a person', () => {
  const text = JSON.stringify(seen);
  expect(text.length).toBeGreaterThan(3000);
  const secrets =
    /access-\d|refresh-\d|code-1|state-1|client-|user-1|\bada\b|sid-1|eyJ|orders|callback|secret|\?/;
  expect(secrets.exec(text)).toBeNull();
});
