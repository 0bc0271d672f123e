import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { codePoint } from '../../../../test/support/properties.ts';
import { runAs, runningSource, thrownText } from '../../src/actions/run.ts';
import { actionOf } from '../support/demo-server.ts';

const revoked = (): unknown => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};

test('work that an Action begins is attributed to it, even next to other work; later work is not', async () => {
  const [one, two] = [actionOf('', 'one'), actionOf('', 'two')];
  const seen = (): Promise<unknown[]> =>
    Promise.all([
      runningSource(),
      wait(2).then(runningSource),
      new Promise((resolve) => setTimeout(() => resolve(runningSource()), 1)),
    ]);
  const both = await Promise.all([runAs(one, seen), runAs(two, seen)]);
  expect(both).toEqual([Array(3).fill(one), Array(3).fill(two)]);
  expect(runningSource()).toBeUndefined();
});

describe('the text of a thrown value', () => {
  test.each<[string, unknown, string]>([
    ['an error', new Error('it broke'), 'it broke'],
    ['what looks like one', { message: 'it broke' }, 'it broke'],
    ['an error without a message', new TypeError(), 'TypeError'],
    ['a text', 'not today', 'not today'],
    ['a number', 7, '7'],
    ['null', null, 'null'],
    ['undefined', undefined, 'undefined'],
    ['a symbol', Symbol('odd'), 'Symbol(odd)'],
    ['nothing', '', 'no reason was given'],
    ['lines', 'one\r\nSet-Cookie: a=b\u0000', 'one Set-Cookie: a=b'],
    ['half a character', 'a\ud800b', 'a\ufffdb'],
    ['an object without a prototype', Object.create(null), 'the reason could not be read'],
    ['a revoked proxy', revoked(), 'the reason could not be read'],
    [
      'a message that throws',
      {
        get message() {
          throw new Error('no');
        },
      },
      'the reason could not be read',
    ],
  ])('%s', (_name, thrown, text) => {
    expect(thrownText(thrown)).toBe(text);
  });

  test('a long text is cut between two characters', () => {
    expect(thrownText(new Error('x'.repeat(1_000_000)))).toBe('x'.repeat(500));
    expect(thrownText(`${'x'.repeat(499)}\u{1f600}`)).toBe(`${'x'.repeat(499)}\ufffd`);
  });

  test('any text fits into a URL on one line', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.string({ unit: codePoint })), (thrown) => {
        const text = thrownText(thrown);
        expect(text).not.toMatch(/^$|\p{Cc}/u);
        expect(decodeURIComponent(encodeURIComponent(text))).toBe(text);
      }),
    );
  });
});
