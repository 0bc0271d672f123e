import { afterAll, describe, expect, test } from '@jest/globals';
import { hashSync } from 'bcryptjs';
import { createLoginAttempts } from '../../src/http/limits.ts';
import type { User } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { authorizationRequest, openBrowser, signIn } from '../support/sign-in.ts';

afterAll(stopServers);

describe('counting', () => {
  const setUp = (max_attempts = 3, enabled = true) => {
    const clock = { now: 1_000_000 };
    const attempts = createLoginAttempts({ enabled, max_attempts }, () => clock.now);
    const fail = (times: number, account = 'a@x', address = '::1') =>
      Array.from({ length: times }, () => attempts.begin(account, address)).at(-1);
    return { clock, attempts, fail };
  };

  test('the attempt after the last allowed has to wait', () => {
    const { fail } = setUp();
    expect(fail(3)).toBeUndefined();
    expect(fail(1)).toBe(60);
  });

  test('is by account, in any case, and by address', () => {
    const { fail } = setUp();
    fail(3);
    expect(fail(1, 'A@X')).toBe(60);
    expect(fail(1, 'b@x')).toBeUndefined();
    expect(fail(1, 'a@x', '::2')).toBeUndefined();
  });

  test('is forgotten after a minute, which attempts meanwhile do not prolong', () => {
    const { clock, fail } = setUp();
    fail(3);
    clock.now += 59_000;
    expect(fail(1)).toBe(1);
    clock.now += 1000;
    expect(fail(3)).toBeUndefined();
    expect(fail(1)).toBe(60);
  });

  test('is forgotten by a success', () => {
    const { attempts, fail } = setUp();
    fail(2);
    attempts.succeed('A@x', '::1');
    expect(fail(3)).toBeUndefined();
  });

  test('is off where the tenant says so', () => {
    expect(setUp(1, false).fail(100)).toBeUndefined();
  });

  test('keeps the latest ten thousand', () => {
    const { fail } = setUp(1);
    fail(1, 'first');
    for (let i = 0; i < 9999; i += 1) fail(1, `account-${i}`);
    expect(fail(1, 'first')).toBe(60);
    fail(1, 'one more');
    expect(fail(1, 'first')).toBeUndefined();
  });
});

describe('over HTTP', () => {
  const wrong = { username: 'alice@example.com', password: 'wrong' };
  const right = { username: 'alice@example.com', password: 'alice-demo' };

  test('after 10 failures a page says to wait, even to the right password', async () => {
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

  test('many at once gain no attempt', async () => {
    const server = await startDemo();
    const browser = openBrowser();
    const page = await browser.get(authorizationRequest(server).url);
    const answers = await Promise.all(
      Array.from({ length: 15 }, () => browser.submit(page, wrong)),
    );
    expect(answers.filter(({ statusCode }) => statusCode === 400)).toHaveLength(10);
    expect(answers.filter(({ statusCode }) => statusCode === 429)).toHaveLength(5);
  });

  test('of many right ones at once none counts against another', async () => {
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

  test('a success begins the count again', async () => {
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
