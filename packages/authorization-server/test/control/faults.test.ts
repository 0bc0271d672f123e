import { describe, expect, test } from '@jest/globals';
import { type Fault, Faults, InvalidFault } from '../../src/control/faults.ts';

const any = () => true;

test('a fault applies as often as it says, the first added first', () => {
  const faults = new Faults();
  faults.add({ endpoint: '/userinfo', status: 500, times: 2 });
  faults.add({ endpoint: '/userinfo', reset: true });
  expect(faults.list().map(({ left }) => left)).toEqual([2, 1]);
  const met = [1, 2, 3, 4].map(() => faults.take('/userinfo', any));
  expect(met.map((fault) => fault?.status ?? fault?.reset)).toEqual([500, 500, true, undefined]);
  expect(faults.list()).toEqual([]);
});

test('a fault for another endpoint waits, and clear removes it', () => {
  const faults = new Faults();
  faults.add({ endpoint: '/userinfo', delay: 5 });
  expect(faults.take('/oauth/token', any)).toBeUndefined();
  expect(faults.list()).toHaveLength(1);
  faults.clear();
  expect(faults.list()).toEqual([]);
});

test('a fault for every third request applies to the third and sixth, as often as it says', () => {
  const faults = new Faults();
  faults.add({ endpoint: '/userinfo', status: 500, every: 3, times: 2 });
  faults.add({ endpoint: '/userinfo', status: 503, every: 2, times: 9 });
  const met = [1, 2, 3, 4, 5, 6, 7, 8].map(() => faults.take('/userinfo', any)?.status);
  // The second sees none of the requests that met the first.
  expect(met).toEqual([undefined, 503, 500, undefined, 503, 500, undefined, 503]);
  expect(faults.list()).toEqual([
    { endpoint: '/userinfo', status: 503, every: 2, times: 9, left: 6 },
  ]);
});

describe('bad input names its field', () => {
  const right = { endpoint: '/oauth/token', status: 503 };
  const wrong: [string, unknown, string][] = [
    ['no object', 'x', 'body'],
    ['nothing', undefined, 'body'],
    ['no endpoint', { status: 503 }, 'endpoint'],
    ['an endpoint that is not there', { ...right, endpoint: '/token' }, 'endpoint'],
    ['a status of success', { ...right, status: 200 }, 'status'],
    ['a status as text', { ...right, status: '503' }, 'status'],
    ['no kind', { endpoint: '/oauth/token' }, 'status'],
    ['two kinds', { ...right, reset: true }, 'reset'],
    ['times 0', { ...right, times: 0 }, 'times'],
    ['half a time', { ...right, times: 0.5 }, 'times'],
    ['a delay for ever', { endpoint: '/oauth/token', delay: 1e9 }, 'delay'],
    ['retryAfter alone', { endpoint: '/oauth/token', delay: 1, retryAfter: 1 }, 'retryAfter'],
    ['reset false', { endpoint: '/oauth/token', reset: false }, 'reset'],
    ['an unknown field', { ...right, time: 1 }, 'time'],
    ['every 0', { ...right, every: 0 }, 'every'],
    [
      'a content type that is none',
      { endpoint: '/userinfo', contentType: 'x\r\ny: z' },
      'contentType',
    ],
    ['garbage and a status', { ...right, garbage: true }, 'garbage'],
    ['an empty key set elsewhere', { endpoint: '/userinfo', emptyKeySet: true }, 'endpoint'],
    ['wrong kids elsewhere', { endpoint: '/userinfo', wrongKids: true }, 'endpoint'],
    ['another issuer elsewhere', { endpoint: '/userinfo', otherIssuer: true }, 'endpoint'],
    ['a lost refresh elsewhere', { endpoint: '/userinfo', loseRefreshResponse: true }, 'endpoint'],
  ];
  test.each(wrong)('%s', (_name, given, field) => {
    const faults = new Faults();
    const add = () => faults.add(given as Fault);
    expect(add).toThrow(InvalidFault);
    expect(add).toThrow(`"${field}": `);
    expect(faults.list()).toEqual([]);
  });
});
