import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import { trace } from '@opentelemetry/api';
import { Telemetry } from '../../../test/support/telemetry.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import type { AuthOptions } from '../src/options.ts';
import { instrumentResourceServer } from '../src/otel.ts';
import { requiredScopes } from '../src/requirements/required-scopes.ts';
import { type Api, startApi } from './support/protected-api.ts';

const audience = 'https://api.example.com';
const sub = 'auth0|someone-in-particular';

let issuer: TestIssuer;
let telemetry: Telemetry;
let stopRecording = () => {};
const open: Api[] = [];
const seen: unknown[] = [];
const tokens: string[] = [];

beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [testKey()] });
});
afterEach(async () => {
  stopRecording();
  await Promise.all(open.splice(0).map((api) => api.close()));
  await telemetry.stop();
});
afterAll(() => issuer.close());

async function start(
  options: Partial<AuthOptions<unknown>> = {},
  recording: Parameters<typeof instrumentResourceServer>[0] = {},
): Promise<Api> {
  telemetry = new Telemetry();
  stopRecording = instrumentResourceServer(recording);
  const all = { issuerBaseURL: issuer.issuer, audience, onEvent: () => {}, ...options };
  const api = await startApi(all, {
    before: [
      (_ctx, next) =>
        trace
          .getTracer('test')
          .startActiveSpan('request', (span) => next().finally(() => span.end())),
    ],
    behind: [(ctx, next) => (ctx.path === '/scoped' ? requiredScopes('read')(ctx, next) : next())],
  });
  open.push(api);
  return api;
}

function token(claims: Record<string, unknown> = {}): string {
  const value = issuer.token({ sub, client_id: 'client-of-someone', aud: audience, ...claims });
  tokens.push(value);
  return value;
}

/** Returns spans and series, and keeps them for the last test. */
async function recorded() {
  const spans = telemetry.spans();
  const series = await telemetry.series();
  seen.push(
    spans.map(({ name, attributes, events }) => ({ name, attributes, events })),
    series,
  );
  return { spans, series };
}

const seriesOf = (series: Awaited<ReturnType<Telemetry['series']>>, name: string) =>
  series
    .filter((one) => one.name === name)
    .map(({ attributes, value, unit }) => ({ attributes, value, unit }));

test('a verification is a span within the request, and a duration', async () => {
  const api = await start();
  const value = token();
  for (let time = 0; time < 3; time += 1) await api.get(value);
  const { spans, series } = await recorded();
  const verifications = spans.filter(({ name }) => name === 'koa_oauth.token_verification');
  const requests = spans.filter(({ name }) => name === 'request');
  expect(verifications.map(({ attributes }) => attributes)).toEqual([
    { 'koa_oauth.token.cached': false },
    { 'koa_oauth.token.cached': false },
    { 'koa_oauth.token.cached': true },
  ]);
  for (const [
    index,
    { parentSpanContext, startTime, endTime, status },
  ] of verifications.entries()) {
    const request = requests[index];
    expect(parentSpanContext?.spanId).toBe(request?.spanContext().spanId);
    expect(toMs(startTime)).toBeGreaterThanOrEqual(toMs(request?.startTime) - 1);
    expect(toMs(endTime)).toBeLessThanOrEqual(toMs(request?.endTime) + 1);
    expect(toMs(endTime)).toBeGreaterThan(toMs(startTime));
    expect(status).toEqual({ code: 0 });
  }
  expect(seriesOf(series, 'koa_oauth.token_verification.duration')).toEqual([
    { attributes: { 'koa_oauth.token.cached': false }, value: 2, unit: 's' },
    { attributes: { 'koa_oauth.token.cached': true }, value: 1, unit: 's' },
  ]);
});

test('a request to the issuer is a span and a duration of the semantic conventions', async () => {
  const traced = await startTestIssuer({ keys: [testKey()] });
  const api = await start({ issuerBaseURL: traced.issuer });
  await api.get(traced.token({ sub, aud: audience }));
  const { spans, series } = await recorded();
  await traced.close();
  const { hostname, port } = new URL(traced.issuer);
  const attributes = {
    'http.request.method': 'GET',
    'server.address': hostname,
    'server.port': Number(port),
    'http.response.status_code': 200,
  };
  const fetches = spans.filter(({ name }) => name === 'GET');
  expect(fetches.map((span) => span.attributes)).toEqual([attributes, attributes]);
  const request = spans.find(({ name }) => name === 'request');
  for (const { parentSpanContext, kind } of fetches) {
    expect(parentSpanContext?.spanId).toBe(request?.spanContext().spanId);
    expect(kind).toBe(2);
  }
  expect(seriesOf(series, 'http.client.request.duration')).toEqual([
    { attributes, value: 2, unit: 's' },
  ]);
});

test('every hostile token is a refusal by its reason, and no fault of the API', async () => {
  const api = await start();
  const hostile = Object.values(issuer.hostileTokens({ aud: audience, sub }));
  tokens.push(...hostile);
  for (const value of hostile) await api.get(value);
  const { spans, series } = await recorded();
  const refusals = seriesOf(series, 'koa_oauth.refused_requests');
  const reasons = refusals.map(({ attributes }) => attributes['error.type']);
  expect([...reasons].sort()).toEqual([
    ...['algorithm', 'audience', 'claim', 'critical', 'expired', 'issuer', 'key', 'malformed'],
    ...['not_yet_valid', 'oversized', 'sender_constrained', 'signature', 'type'],
  ]);
  const sum = (all: typeof refusals) => all.reduce((total, { value }) => total + value, 0);
  expect(sum(refusals)).toBe(hostile.length);
  expect(sum(seriesOf(series, 'koa_oauth.token_verification.duration'))).toBe(hostile.length);
  const verifications = spans.filter(({ name }) => name === 'koa_oauth.token_verification');
  expect(verifications).toHaveLength(hostile.length);
  for (const { attributes, status } of verifications) {
    expect(Object.keys(attributes)).toEqual(['error.type']);
    expect(status).toEqual({ code: 0 });
  }
});

test('a refusal before or after the verification is counted only', async () => {
  const api = await start();
  await api.get();
  await api.get(token(), `?access_token=${token()}`);
  await api.get(token(), 'scoped');
  const { spans, series } = await recorded();
  expect(seriesOf(series, 'koa_oauth.refused_requests')).toEqual([
    { attributes: { 'error.type': 'missing_token' }, value: 1, unit: '{request}' },
    { attributes: { 'error.type': 'invalid_request' }, value: 1, unit: '{request}' },
    { attributes: { 'error.type': 'insufficient_scope' }, value: 1, unit: '{request}' },
  ]);
  const verifications = spans.filter(({ name }) => name === 'koa_oauth.token_verification');
  expect(verifications.map(({ attributes }) => attributes)).toEqual([
    { 'koa_oauth.token.cached': false },
  ]);
});

test('an issuer that is away is a fault: of the verification, the request to it and the fetch', async () => {
  const away = await startTestIssuer({ keys: [testKey()] });
  const parents = answer503(away);
  const api = await start({ issuerBaseURL: away.issuer });
  await api.get(away.token({ sub, aud: audience }));
  const { spans, series } = await recorded();
  await away.close();
  const byName = Object.fromEntries(spans.map((span) => [span.name, span]));
  expect(byName['koa_oauth.token_verification']).toMatchObject({
    attributes: { 'error.type': 'unavailable' },
    status: { code: 2 },
  });
  expect(byName.GET).toMatchObject({
    attributes: { 'error.type': '503', 'http.response.status_code': 503 },
    status: { code: 2 },
  });
  const { traceId, spanId } = byName.GET?.spanContext() ?? {};
  expect(parents.at(-1)).toBe(`00-${traceId}-${spanId}-01`);
  expect(seriesOf(series, 'koa_oauth.issuer.failed_fetches')).toEqual([
    {
      attributes: {
        'koa_oauth.issuer.document': 'metadata',
        'server.address': new URL(away.issuer).hostname,
      },
      value: 1,
      unit: '{fetch}',
    },
  ]);
});

test('with "http: false", requests are left to another instrumentation', async () => {
  const other = await startTestIssuer({ keys: [testKey()] });
  const parents = answer503(other);
  const api = await start({ issuerBaseURL: other.issuer }, { http: false });
  await api.get(other.token({ sub, aud: audience }));
  const { spans, series } = await recorded();
  await other.close();
  expect(parents.length).toBeGreaterThan(0);
  expect(new Set(parents)).toEqual(new Set([undefined]));
  expect(spans.map(({ name }) => name)).toEqual(['koa_oauth.token_verification', 'request']);
  expect(seriesOf(series, 'http.client.request.duration')).toEqual([]);
});

test('two recorders count each request to the issuer once, and nothing after both ended', async () => {
  const other = await startTestIssuer({ keys: [testKey()] });
  const api = await start({ issuerBaseURL: other.issuer });
  const endSecond = instrumentResourceServer();
  endSecond();
  endSecond();
  await api.get(other.token({ sub, aud: audience }));
  const { spans } = await recorded();
  expect(spans.filter(({ name }) => name === 'GET')).toHaveLength(2);
  stopRecording();
  const cold = await startApi({ issuerBaseURL: other.issuer, audience, onEvent: () => {} });
  open.push(cold);
  await cold.get(other.token({ sub, aud: audience }));
  expect(telemetry.spans()).toEqual([]);
  await other.close();
});

test('a provider that throws harms no request', async () => {
  await start();
  stopRecording();
  trace.disable();
  let failures = 0;
  const fail = (): never => {
    failures += 1;
    throw new Error('no more room');
  };
  trace.setGlobalTracerProvider({ getTracer: () => ({ startSpan: fail, startActiveSpan: fail }) });
  stopRecording = instrumentResourceServer();
  const other = await startTestIssuer({ keys: [testKey()] });
  const api = await startApi({ issuerBaseURL: other.issuer, audience, onEvent: () => {} });
  open.push(api);
  const { status } = await api.get(other.token({ sub, aud: audience }));
  await other.close();
  expect(status).toBe(200);
  expect(failures).toBe(3);
});

// Last, when there is something to search.
test('no attribute has a token, a part of one, a client, an address or whom it is about', () => {
  const text = JSON.stringify(seen);
  expect(text.length).toBeGreaterThan(5000);
  expect(tokens.length).toBeGreaterThan(100);
  for (const value of tokens) {
    for (const part of [value, ...value.split('.')].filter(({ length }) => length > 20)) {
      expect(text.includes(part)).toBe(false);
    }
  }
  for (const secret of ['someone', 'well-known', 'jwks', 'scoped', '?']) {
    expect(text).not.toContain(secret);
  }
});

/** Makes an issuer fail. @returns the `traceparent` of each request to it */
function answer503(failing: TestIssuer): (string | string[] | undefined)[] {
  const parents: (string | string[] | undefined)[] = [];
  failing.fault = ({ headers }, response) => {
    parents.push(headers.traceparent);
    response.writeHead(503).end();
  };
  return parents;
}

function toMs([seconds, nanoseconds] = [0, 0] as [number, number]): number {
  return seconds * 1000 + nanoseconds / 1e6;
}
