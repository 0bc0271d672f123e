import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import got from 'got';
import { FormBrowser, type Page } from '../support/form-browser.ts';
import { kindOf, OtlpReceiver, type ReceivedSpan } from '../support/otlp-receiver.ts';
import { freePorts, type Services, startServices } from '../support/services.ts';

/** Starts the services; the two apps send to these collectors. */
function startWith({ web, api }: { web: string; api: string }): Promise<Services> {
  const settingsFor = (endpoint: string) => ({
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_BSP_SCHEDULE_DELAY: '200',
  });
  return startServices({ settings: { web: settingsFor(web), api: settingsFor(api) } });
}

async function signIn(services: Services): Promise<Page> {
  const browser = new FormBrowser();
  const login = await browser.open(`${services.web}/contacts`);
  const consent = await browser.submit(login, 'form:has(input[name="password"])', {
    username: 'alice@example.com',
    password: 'alice-demo',
  });
  return browser.submit(consent, 'form:has([name="action"])', { action: 'accept' });
}

describe('both apps send to a collector', () => {
  let receiver: OtlpReceiver;
  let spans: ReceivedSpan[];
  let printed: string;

  beforeAll(async () => {
    receiver = await OtlpReceiver.start();
    const services = await startWith({ web: receiver.url, api: receiver.url });
    try {
      expect((await signIn(services)).status).toBe(200);
      const strange = { authorization: 'Bearer some.made-up.token' };
      const refused = await got(`${services.api}/contacts?q=private`, {
        headers: strange,
        throwHttpErrors: false,
      });
      expect(refused.statusCode).toBe(401);
    } finally {
      await services.stop();
      printed = services.printed();
    }
    spans = receiver.spans();
  });
  afterAll(() => receiver.stop());

  const named = (service: string, name: string) =>
    spans.filter((span) => span.service === service && span.name === name);

  test('one trace leads from the page through the call to the verification in the API', () => {
    const [verification] = named('contacts-api', 'koa_oauth.token_verification');
    const parentOf = (child: ReceivedSpan | undefined) =>
      spans.find(({ spanId, traceId }) => {
        return spanId === child?.parentSpanId && traceId === child?.traceId;
      });
    const route = parentOf(verification);
    const call = parentOf(route);
    const page = parentOf(call);
    expect([verification, route, call, page].map((span) => span && kindOf(span))).toEqual([
      'INTERNAL',
      'SERVER',
      'CLIENT',
      'SERVER',
    ]);
    expect(route).toMatchObject({
      service: 'contacts-api',
      name: 'GET /contacts',
      attributes: {
        'http.request.method': 'GET',
        'http.route': '/contacts',
        'http.response.status_code': 200,
        'url.scheme': 'http',
      },
    });
    expect(page).toMatchObject({ service: 'contacts-web', name: 'GET /contacts' });
    expect(page?.parentSpanId).toBeUndefined();
  });

  test('the sign-in and the refusal arrive', () => {
    expect(named('contacts-web', 'koa_oauth.sign_in')).toHaveLength(1);
    const verifications = named('contacts-api', 'koa_oauth.token_verification');
    expect(verifications.map(({ attributes }) => attributes['error.type'])).toContain('malformed');
  });

  test('the metrics arrive', () => {
    expect(receiver.metricsOf('contacts-api')).toEqual([
      'http.client.request.duration',
      'http.server.request.duration',
      'koa_oauth.refused_requests',
      'koa_oauth.token_verification.duration',
    ]);
    expect(receiver.metricsOf('contacts-web')).toEqual([
      'http.client.request.duration',
      'http.server.request.duration',
      'koa_oauth.sign_in.duration',
    ]);
  });

  test('nothing that arrives opens anything or names a person', () => {
    const text = receiver.requests.map(({ body }) => body).join();
    expect(text.length).toBeGreaterThan(5000);
    expect(text).not.toMatch(/alice|eyJ|auth0\||code=|state=|private|made-up|acme|Bearer|cookie/i);
    expect(printed).not.toContain('telemetry cannot be sent');
  });
});

test('a collector that never answers, or is not there, stops no request and no stop', async () => {
  const receiver = await OtlpReceiver.start('never');
  const [closed] = await freePorts(1);
  const services = await startWith({ web: receiver.url, api: `http://127.0.0.1:${closed}` });
  try {
    expect((await signIn(services)).status).toBe(200);
    const stopping = performance.now();
    await Promise.all([services.each.api.stop(), services.each.web.stop()]);
    // The exporter itself would wait for ten seconds.
    expect(performance.now() - stopping).toBeLessThan(8000);
    expect(receiver.requests.length).toBeGreaterThan(0);
  } finally {
    await services.stop();
    await receiver.stop();
  }
});
