import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { bearer, type RunningApp, startApp } from './support/running-app.ts';

const origin = 'https://app.example.com';
let closed: RunningApp;
let opened: RunningApp;

beforeAll(async () => {
  closed = await startApp();
  opened = await startApp({ corsOrigins: [origin] });
});
afterAll(() => Promise.all([closed.close(), opened.close()]));

const preflight = ({ api }: RunningApp, from: string) =>
  api('contacts', {
    method: 'OPTIONS',
    headers: {
      origin: from,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    },
  });

describe('CORS', () => {
  test('is off by default: no answer has a header of it', async () => {
    const { headers } = await preflight(closed, origin);
    const { headers: answered } = await closed.api('healthz', { headers: { origin } });
    for (const name of Object.keys({ ...headers, ...answered })) {
      expect(name).not.toMatch(/^access-control/);
    }
  });

  test('allows pages of configured origins to call, and to read the headers that matter', async () => {
    const { statusCode, headers } = await preflight(opened, origin);
    expect(statusCode).toBe(204);
    expect(headers['access-control-allow-origin']).toBe(origin);
    expect(headers['access-control-allow-headers']).toBe('authorization,content-type');
    expect(headers['access-control-allow-credentials']).toBeUndefined();
    const answer = await opened.api('contacts', {
      headers: { ...bearer(opened.token('read:contacts')).headers, origin },
    });
    expect(answer.headers['access-control-allow-origin']).toBe(origin);
    expect(answer.headers['access-control-expose-headers']).toContain('WWW-Authenticate');
    expect(answer.headers.vary).toContain('Origin');
  });

  test('allows pages to read a refusal too', async () => {
    const { statusCode, headers } = await opened.api('contacts', { headers: { origin } });
    expect(statusCode).toBe(401);
    expect(headers['access-control-allow-origin']).toBe(origin);
    expect(headers['access-control-expose-headers']).toContain('WWW-Authenticate');
  });

  test.each([
    'https://evil.example',
    'https://app.example.com.evil.example',
    'http://app.example.com',
    'null',
  ])('does not allow %s', async (other) => {
    const { headers } = await preflight(opened, other);
    expect(headers['access-control-allow-origin']).toBeUndefined();
  });
});
