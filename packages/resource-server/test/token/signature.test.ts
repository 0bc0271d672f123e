import { createHmac, type KeyObject, sign } from 'node:crypto';
import { describe, expect, jest, test } from '@jest/globals';
import { SIGNING_ALGORITHMS, type SigningKey } from '@koa-oauth/issuer';
import { signJws, type TestAlgorithm, type TestKey } from '@koa-oauth/issuer/testing';
import { proves } from '../../../../test/support/proves.ts';
import { testKey } from '../../../../test/support/test-keys.ts';
import {
  type Algorithm,
  checkSignature,
  type VerifySignature,
  verifySignature,
} from '../../src/token/signature.ts';

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const rsa = testKey();
const p384 = testKey({ alg: 'ES384' });
const ed25519 = testKey({ alg: 'EdDSA' });
const other = testKey({}, 1);

const jws = (
  alg: TestAlgorithm,
  { privateKey }: TestKey,
  payload: object = { sub: 'alice', exp: 1 },
) => signJws({ alg }, payload, { alg, privateKey });

describe.each(SIGNING_ALGORITHMS)('%s, RFC 7518 §3, RFC 8037 §3.1', (alg) => {
  const key = testKey({ alg });
  const { publicKey } = key;
  const token = jws(alg, key);
  const [header, payload, signature] = token.split('.') as [string, string, string];

  test('holds, whatever the times say', () => {
    expect(verifySignature(token, { alg, key: publicKey })).toBe(true);
    const future = jws(alg, key, { nbf: 4e9, iat: 4e9 });
    expect(verifySignature(future, { alg, key: publicKey })).toBe(true);
  });

  test.each<[string, string]>([
    ['another payload', `${header}.${encode({ sub: 'bob' })}.${signature}`],
    ['another header', `${encode({ alg, kid: 'x' })}.${payload}.${signature}`],
    ['no signature', `${header}.${payload}.`],
    ['a short signature', `${header}.${payload}.${signature.slice(0, 40)}`],
    ['a long signature', `${header}.${payload}.${signature}AAAA`],
    ['a signature of zeros', `${header}.${payload}.${signature.replace(/./g, 'A')}`],
  ])('does not hold with %s', (_, changed) => {
    proves('ASVS 9.1.1');
    expect(verifySignature(changed, { alg, key: publicKey })).toBe(false);
  });
});

test.each<[string, string, Algorithm, KeyObject]>([
  ['by another key', jws('RS256', other), 'RS256', rsa.publicKey],
  ['RS256 with a key for PS256', jws('RS256', rsa), 'PS256', rsa.publicKey],
  ['PS256 with a key for RS256', jws('PS256', rsa), 'RS256', rsa.publicKey],
  ['RS512 with a key for RS256', jws('RS512', rsa), 'RS256', rsa.publicKey],
  ['ES256 over P-384 (RFC 7518 §3.4)', jws('ES256', p384), 'ES256', p384.publicKey],
  ['EdDSA with a key of another type', jws('EdDSA', ed25519), 'EdDSA', rsa.publicKey],
  ['RS256 with a key of another type', jws('RS256', rsa), 'RS256', p384.publicKey],
  ['ES384 with a key of another type', jws('ES384', p384), 'ES384', rsa.publicKey],
])('%s does not hold', (_, token, alg, key) => {
  proves('RFC 8725 §3.1 algorithm');
  expect(verifySignature(token, { alg, key })).toBe(false);
});

test('ES256 with a signature in DER does not hold (RFC 7518 §3.4)', () => {
  const { privateKey, publicKey: key } = testKey({ alg: 'ES256' });
  const input = `${encode({ alg: 'ES256' })}.${encode({})}`;
  const der = sign('sha256', Buffer.from(input), privateKey).toString('base64url');
  expect(verifySignature(`${input}.${der}`, { alg: 'ES256', key })).toBe(false);
});

test('an HMAC keyed with the public key does not hold (RFC 8725 §2.1)', () => {
  proves('RFC 8725 §3.1 HMAC');
  for (const alg of ['HS256', 'RS256']) {
    const input = `${encode({ alg })}.${encode({ sub: 'admin' })}`;
    for (const secret of [
      rsa.publicKey.export({ format: 'pem', type: 'spki' }),
      rsa.publicKey.export({ format: 'der', type: 'spki' }),
    ]) {
      const mac = createHmac('sha256', secret).update(input).digest('base64url');
      expect(verifySignature(`${input}.${mac}`, { alg: 'RS256', key: rsa.publicKey })).toBe(false);
    }
  }
});

describe('a function of the application verifies', () => {
  const token = jws('RS256', rsa);
  const key: SigningKey = { kid: 'a', alg: 'RS256', key: rsa.publicKey };

  test('with the token, the algorithm and the key', async () => {
    const calls: unknown[] = [];
    await checkSignature(token, [key], async (...args) => calls.push(args) > 0);
    expect(calls).toEqual([[token, { alg: 'RS256', key: rsa.publicKey }]]);
  });

  test('that does not answer could not check it: 503 after two seconds, with the first key', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
    let calls = 0;
    const verify = () => {
      calls += 1;
      return new Promise<boolean>(() => {});
    };
    const refused = expect(checkSignature(token, [key, key], verify)).rejects.toMatchObject({
      status: 503,
      code: 'ERR_SIGNATURE_UNAVAILABLE',
      detail: 'verifySignature did not answer within 2 seconds',
    });
    await jest.advanceTimersByTimeAsync(2000);
    await refused;
    expect(calls).toBe(1);
    jest.useRealTimers();
  });

  test('with each key of one name, until one fits; no other is called', async () => {
    const keys = [other, rsa, p384].map(({ publicKey }) => ({ ...key, key: publicKey }));
    const tried: unknown[] = [];
    const verify: VerifySignature = (text, rules) => {
      tried.push(rules.key);
      return verifySignature(text, rules);
    };
    expect(await checkSignature(token, keys, verify)).toBe(keys[1]);
    expect(tried).toEqual([other.publicKey, rsa.publicKey]);
  });

  test.each<unknown>([false, undefined, null, 0, 1, 'true', {}, [true]])(
    'whose answer %p is not true: 401 invalid_token',
    async (answer) => {
      for (const verify of [() => answer, async () => answer]) {
        await expect(checkSignature(token, [key], verify as VerifySignature)).rejects.toMatchObject(
          {
            status: 401,
            code: 'ERR_INVALID_TOKEN',
            reason: 'signature',
          },
        );
      }
    },
  );

  test.each<[string, () => Promise<boolean>]>([
    [
      'throws',
      () => {
        throw new Error('pkcs11:pin=secret');
      },
    ],
    ['rejects', () => Promise.reject(new Error('pkcs11:pin=secret'))],
    ['rejects with nothing', () => Promise.reject(undefined)],
  ])('that %s could not check it: 503, never 401', async (_, verify) => {
    const checked = checkSignature(token, [key], verify);
    await expect(checked).rejects.toMatchObject({
      status: 503,
      code: 'ERR_SIGNATURE_UNAVAILABLE',
      headers: { 'Retry-After': '2' },
      challenge: undefined,
      message: expect.not.stringContaining('secret'),
      detail: expect.not.stringContaining('secret'),
    });
  });
});
