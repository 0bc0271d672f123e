import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { afterAll, afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { hashSync } from 'bcryptjs';
import { got } from 'got';
import Koa from 'koa';
import { createLimits, LoginAttempts, tokenRateLimit } from '../../src/http/limits.ts';
import type { User } from '../../src/index.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { API, authorizationRequest, openBrowser, signIn } from '../support/sign-in.ts';

const HOUR_MS = 3_600_000;

afterAll(stopServers);

test('limits are those of the tenant, and each set counts for itself', async () => {
  const tenant = loadTenant(demoTenantFile);
  tenant.attack_protection.brute_force_protection.max_attempts = 1;
  const limits = createLimits(tenant);
  expect(limits.tokenRequests).toBeUndefined();
  expect(await limits.attempts.count('alice', '::1')).toBeUndefined();
  expect(await limits.attempts.count('alice', '::1')).toBeGreaterThan(0);
  expect(await createLimits(tenant).attempts.count('alice', '::1')).toBeUndefined();
  tenant.rate_limits.token = { limit: 1, window: 10 };
  expect(createLimits(tenant).tokenRequests).toEqual(expect.any(Function));
});

describe('the count of failed sign-ins', () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const setUp = (max_attempts = 3, enabled = true) => {
    const attempts = new LoginAttempts({ enabled, max_attempts });
    const fail = async (times: number, account = 'a@x', address = '::1') => {
      let wait: number | undefined;
      for (let i = 0; i < times; i += 1) wait = await attempts.count(account, address);
      return wait;
    };
    return { attempts, fail };
  };

  test('blocks the attempt after the last allowed one', async () => {
    const { fail } = setUp();
    expect(await fail(3)).toBeUndefined();
    expect(await fail(1)).toBe(60);
  });

  test('is separate for each account, ignoring case, and address', async () => {
    const { fail } = setUp();
    await fail(3);
    expect(await fail(1, 'A@X')).toBe(60);
    expect(await fail(1, 'b@x')).toBeUndefined();
    expect(await fail(1, 'a@x', '192.0.2.1')).toBeUndefined();
    await fail(2, 'a@x', '192.0.2.1');
    expect(await fail(1, 'a@x', '::ffff:192.0.2.1')).toBe(60);
  });

  test('ends a minute after the last failure, and blocked attempts do not prolong it', async () => {
    const { fail } = setUp();
    await fail(2);
    jest.advanceTimersByTime(50_000);
    await fail(1);
    jest.advanceTimersByTime(59_000);
    expect(await fail(1)).toBe(1);
    jest.advanceTimersByTime(1000);
    expect(await fail(3)).toBeUndefined();
    expect(await fail(1)).toBe(60);
  });

  test('ends after a minute, although the clock is set back meanwhile', async () => {
    const { fail } = setUp();
    await fail(3);
    jest.setSystemTime(Date.now() - HOUR_MS);
    expect(await fail(1)).toBe(60);
    jest.advanceTimersByTime(60_000);
    expect(await fail(3)).toBeUndefined();
  });

  test('ends with a success', async () => {
    const { attempts, fail } = setUp();
    await fail(2);
    await attempts.forget('A@x', '::1');
    expect(await fail(3)).toBeUndefined();
  });

  test('is off when the tenant switches it off', async () => {
    expect(await setUp(1, false).fail(100)).toBeUndefined();
  });

  test('has at most the latest ten thousand', async () => {
    const { fail } = setUp(1);
    await fail(1, 'first');
    for (let i = 0; i < 9999; i += 1) await fail(1, `account-${i}`);
    expect(await fail(1, 'first')).toBe(60);
    await fail(1, 'one more');
    expect(await fail(1, 'first')).toBeUndefined();
  });
});

describe('failed sign-ins over HTTP', () => {
  const wrong = { username: 'alice@example.com', password: 'wrong' };
  const right = { username: 'alice@example.com', password: 'alice-demo' };

  test('10 failures give a page with the time to wait, even for the right password', async () => {
    const server = await startDemo();
    const browser = openBrowser();
    const page = await browser.get(authorizationRequest(server).url);
    for (let i = 0; i < 10; i += 1) {
      expect((await browser.submit(page, wrong)).statusCode).toBe(400);
    }
    const answer = await browser.submit(page, right);
    expect(answer.statusCode).toBe(429);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(50);
    expect(answer.body).toMatch(/Too many failed sign-ins\. Wait \d+ seconds, then try again\./);

    const other = await signIn(openBrowser(), authorizationRequest(server), 'bob');
    expect(other.get('code')).toBeTruthy();
  });

  test('simultaneous attempts gain nothing', async () => {
    const server = await startDemo();
    const browser = openBrowser();
    const page = await browser.get(authorizationRequest(server).url);
    const answers = await Promise.all(
      Array.from({ length: 15 }, () => browser.submit(page, wrong)),
    );
    expect(answers.filter(({ statusCode }) => statusCode === 400)).toHaveLength(10);
    expect(answers.filter(({ statusCode }) => statusCode === 429)).toHaveLength(5);
  });

  test('simultaneous right passwords all succeed', async () => {
    const server = await startDemo((tenant) => {
      const password_hash = hashSync('alice-demo', 8);
      const alice: User = { ...tenant.users[0]!, password: undefined, password_hash };
      tenant.users[0] = alice;
      tenant.attack_protection.brute_force_protection = { enabled: true, max_attempts: 1 };
    });
    const callbacks = await Promise.all(
      Array.from({ length: 6 }, () => signIn(openBrowser(), authorizationRequest(server))),
    );
    for (const callback of callbacks) expect(callback.get('code')).toBeTruthy();
  });

  test.each([
    ['fewer attempts', { enabled: true, max_attempts: 2 }, [400, 400, 429]],
    ['no protection', { enabled: false, max_attempts: 1 }, [400, 400, 400]],
  ])('the tenant may set %s', async (_name, protection, statuses) => {
    const server = await startDemo((tenant) => {
      tenant.attack_protection.brute_force_protection = protection;
    });
    const browser = openBrowser();
    const page = await browser.get(authorizationRequest(server).url);
    for (const status of statuses) {
      expect((await browser.submit(page, wrong)).statusCode).toBe(status);
    }
  });

  test('a success resets the count', async () => {
    const server = await startDemo((tenant) => {
      tenant.attack_protection.brute_force_protection = { enabled: true, max_attempts: 2 };
    });
    for (let i = 0; i < 3; i += 1) {
      const browser = openBrowser();
      const page = await browser.get(authorizationRequest(server).url);
      expect((await browser.submit(page, wrong)).statusCode).toBe(400);
      expect((await browser.submit(page, right)).url).not.toContain('/u/login/');
    }
  });
});

const post = async (url: string, path = 'oauth/token', form: Record<string, string> = {}) => {
  const answer = await got.post(new URL(path, url), {
    form: {
      grant_type: 'client_credentials',
      client_id: 'contacts-cli',
      client_secret: 'contacts-cli-demo-secret',
      audience: API,
      ...form,
    },
    throwHttpErrors: false,
  });
  const { 'x-ratelimit-limit': limit, 'x-ratelimit-remaining': left } = answer.headers;
  return { status: answer.statusCode, limit, left, answer };
};

describe('the limit of the token endpoint', () => {
  test('is off by default', async () => {
    const { issuer } = await startDemo();
    expect(await post(issuer)).toMatchObject({ status: 200, limit: undefined, left: undefined });
  });

  test("counts down, then refuses with Auth0's text", async () => {
    const { issuer } = await startDemo((tenant) => {
      tenant.rate_limits = { token: { limit: 3, window: 60 } };
    });
    expect(await post(issuer)).toMatchObject({ status: 200, limit: '3', left: '2' });
    // A refusal counts too, and so does another spelling of the path that the engine takes.
    const wrong = await post(issuer, 'oauth/token', { client_secret: 'wrong' });
    expect(wrong).toMatchObject({ status: 401, left: '1' });
    expect(await post(issuer, 'OAuth/token/')).toMatchObject({ left: '0' });

    const { status, answer } = await post(issuer);
    expect(status).toBe(429);
    expect(JSON.parse(answer.body)).toEqual({
      error: 'too_many_requests',
      error_description:
        'Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers.',
    });
    const reset = Number(answer.headers['x-ratelimit-reset']) - Date.now() / 1000;
    expect(reset).toBeGreaterThan(0);
    expect(reset).toBeLessThanOrEqual(60);
    expect(answer.headers['retry-after']).toMatch(/^\d+$/);

    const metadata = await got(`${issuer}.well-known/openid-configuration`);
    expect(metadata.headers).not.toHaveProperty('x-ratelimit-limit');
  });

  describe('and its window', () => {
    let limit: ReturnType<typeof tokenRateLimit>;
    beforeEach(() => {
      jest.useFakeTimers({ now: 1_000_000_500 });
      limit = tokenRateLimit({ limit: 1, window: 10 });
    });
    afterEach(() => {
      jest.useRealTimers();
    });

    const ask = async () => {
      const request = Object.assign(new IncomingMessage(new Socket()), {
        method: 'POST',
        url: '/oauth/token',
      });
      const ctx = new Koa().createContext(request, new ServerResponse(request));
      await limit(ctx, async () => {
        ctx.status = 200;
      });
      const { status } = ctx;
      const [reset, retryAfter] = ['X-RateLimit-Reset', 'Retry-After'].map((name) =>
        ctx.response.get(name),
      );
      return { status, reset, retryAfter };
    };

    test('end at a full second, and start again', async () => {
      expect(await ask()).toMatchObject({ status: 200, reset: '1000010' });
      expect(await ask()).toEqual({ status: 429, reset: '1000010', retryAfter: '10' });
      jest.advanceTimersByTime(9499);
      expect(await ask()).toEqual({ status: 429, reset: '1000010', retryAfter: '1' });
      jest.advanceTimersByTime(1);
      expect(await ask()).toMatchObject({ status: 200, reset: '1000020' });
    });

    test('end in time, although the clock is set back meanwhile', async () => {
      expect((await ask()).status).toBe(200);
      jest.setSystemTime(Date.now() - HOUR_MS);
      const { status, retryAfter } = await ask();
      expect([status, Number(retryAfter) <= 10]).toEqual([429, true]);
      jest.advanceTimersByTime(10_000);
      expect((await ask()).status).toBe(200);
    });
  });
});
