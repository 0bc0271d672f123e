import { describe, expect, test } from '@jest/globals';
import { cookieJar } from '../../src/browser/cookies.ts';

function jarOf(header: string) {
  const written: string[] = [];
  const cookies = {
    secure: undefined,
    // Keeps what it compiled of each name for ever, and callers choose names.
    get: () => {
      throw new Error("the cookies module's own get was asked");
    },
    set: (name: string, value: string) => written.push(`${name}=${value}`),
  };
  const ctx = { cookies, get: () => header } as unknown as Parameters<typeof cookieJar>[0];
  return { jar: cookieJar(ctx, false), written };
}

describe('the cookies of a request', () => {
  test.each([
    ['a=1', 'a', '1'],
    ['a=1; b=2', 'b', '2'],
    ['a=1;b=2', 'b', '2'],
    ['a= 1 ', 'a', '1'],
    ['b=x=y', 'b', 'x=y'],
    ['a=first; a=second', 'a', 'first'],
    ['a=; a=second', 'a', undefined],
    ['a', 'a', undefined],
    ['=1', '', undefined],
    ['xa=1', 'a', undefined],
    ['', 'a', undefined],
    ['a=1', '.', undefined],
    ['a=1', '__proto__', undefined],
    // Browsers let a sibling subdomain plant these: they do not begin with "__Host-".
    ['\u00a0__Host-a=1', '__Host-a', undefined],
    ['b=2; \u00a0__Host-a=1', '__Host-a', undefined],
    ['\ufeff__Host-a=1', '__Host-a', undefined],
    ['\u000b__Host-a=1', '__Host-a', undefined],
    [' \t__Host-a=1', '__Host-a', '1'],
  ])('%j: %s is %j', (header, name, value) => {
    expect(jarOf(header).jar.get(name)).toBe(value);
  });

  test('are named once each, those that fit, in their order', () => {
    const { jar } = jarOf('b.2=x; a=1; b.1=y; b.2=z; xb.3=x; b.é=x');
    expect(jar.names(/^b\.\d$/)).toEqual(['b.2', 'b.1']);
  });

  test('are bounded in number', () => {
    const header = Array.from({ length: 5000 }, (_, index) => `c${index}=1`).join(';');
    expect(jarOf(header).jar.names(/^c/)).toHaveLength(1000);
  });
});
