import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  createProof,
  type HostileProofName,
  type HostileRequest,
  hostileProofs,
  startTestIssuer,
  type TestIssuer,
  type TestKey,
  thumbprintOf,
} from '@koa-oauth/issuer/testing';
import { proves } from '../../../../test/support/proves.ts';
import { testKey } from '../../../../test/support/test-keys.ts';
import type { InvalidProofReason, InvalidTokenReason } from '../../src/errors.ts';
import { type Api, startApi } from '../support/protected-api.ts';

const audience = 'https://api.example.com';
const baseURL = 'https://api.example.com/base';
const url = `${baseURL}/orders`;
const key = testKey({ alg: 'ES256' });

let issuer: TestIssuer;
let api: Api;
let hostile: Readonly<Record<HostileProofName, HostileRequest>>;

beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [testKey()] });
  api = await startApi({ issuerBaseURL: issuer.issuer, audience, dpop: { baseURL } });
  hostile = hostileProofs({ key, method: 'GET', url, token: mint });
});
afterAll(() => Promise.all([api.close(), issuer.close()]));

const mint = (claims: Record<string, unknown>) =>
  issuer.token({ sub: 'alice', aud: audience, ...claims });

async function outcome(headers: HostileRequest) {
  const { status, error, challenge } = await api.send({ ...headers }, 'orders?page=2');
  if (status === 200) return 'accepted';
  const thrown = api.errors.at(-1) as { reason: string; message: string };
  const isProof = thrown.reason.startsWith('proof_');
  expect([status, error]).toEqual([401, isProof ? 'invalid_dpop_proof' : 'invalid_token']);
  expect(challenge).toContain('algs="RS256');
  return thrown.reason;
}

const REASONS: Record<HostileProofName, InvalidProofReason | InvalidTokenReason> = {
  'no proof': 'proof_missing',
  'an empty proof': 'proof_malformed',
  'two proofs in one header': 'proof_malformed',
  'the proof in quotes': 'proof_malformed',
  'a scheme before the proof': 'proof_malformed',
  'the access token as proof': 'proof_type',
  'a bound token as bearer token': 'sender_constrained',
  'an unbound token under DPoP': 'unbound',
  'alg none, unsigned': 'proof_malformed',
  'alg none, with a signature': 'proof_algorithm',
  'alg None': 'proof_algorithm',
  'no signature': 'proof_malformed',
  'HS256 keyed with the JWK': 'proof_algorithm',
  'HS256 keyed with the PEM': 'proof_algorithm',
  'HS256 keyed with nothing': 'proof_algorithm',
  'an HMAC under the name of the real algorithm': 'proof_signature',
  'another algorithm than that of the key': 'proof_key',
  'alg missing': 'proof_algorithm',
  'alg unknown': 'proof_algorithm',
  'alg in a list': 'proof_algorithm',
  'alg in lower case': 'proof_algorithm',
  'signed by another key': 'proof_signature',
  'another key, named in the proof': 'key_binding',
  'another payload under a good signature': 'proof_signature',
  'another header under a good signature': 'proof_signature',
  'a signature cut short': 'proof_signature',
  'a signature of zeros': 'proof_signature',
  'a signature with more behind it': 'proof_signature',
  'typ missing': 'proof_type',
  'typ JWT': 'proof_type',
  'typ at+jwt': 'proof_type',
  'typ empty': 'proof_type',
  'typ null': 'proof_type',
  'typ in a list': 'proof_type',
  'typ with more behind it': 'proof_type',
  'crit unknown': 'proof_malformed',
  'crit empty': 'proof_malformed',
  'b64 false': 'proof_malformed',
  'jwk missing': 'proof_key',
  'jwk null': 'proof_key',
  'jwk in a list': 'proof_key',
  'jwk as text': 'proof_key',
  'jwk empty': 'proof_key',
  'the key named by jku': 'proof_key',
  'the key named by kid': 'proof_key',
  'alg twice': 'proof_malformed',
  'jwk twice': 'proof_malformed',
  'kty twice': 'proof_malformed',
  'header in a list': 'proof_malformed',
  'invalid UTF-8 in the header': 'proof_malformed',
  'jwk with the private key': 'proof_key',
  'jwk symmetric': 'proof_algorithm',
  'jwk of an unknown type': 'proof_key',
  'jwk for encryption': 'proof_key',
  'jwk for another algorithm': 'proof_key',
  'jwk that may not verify': 'proof_key',
  'jwk with padding': 'proof_key',
  'an RSA key of 1024 bits': 'proof_key',
  'an RSA key with the exponent 1': 'proof_key',
  'an RSA key with an even exponent': 'proof_key',
  'an RSA key with a huge exponent': 'proof_key',
  'an RSA key of 16384 bits': 'proof_key',
  'an Ed25519 key of small order': 'proof_key',
  'a point off its curve': 'proof_key',
  'a point at infinity': 'proof_key',
  'a point of another curve': 'proof_key',
  'a coordinate missing': 'proof_key',
  'a coordinate that is a number': 'proof_key',
  'jti missing': 'proof_claim',
  'jti empty': 'proof_claim',
  'jti a number': 'proof_claim',
  'jti null': 'proof_claim',
  'htm missing': 'proof_claim',
  'htm of another method': 'proof_method',
  'htm in lower case': 'proof_method',
  'htm in a list': 'proof_claim',
  'htm with a space': 'proof_method',
  'iat missing': 'proof_claim',
  'iat null': 'proof_claim',
  'iat a string': 'proof_claim',
  'iat an hour ago': 'proof_time',
  'iat an hour ahead': 'proof_time',
  'iat in milliseconds': 'proof_claim',
  'iat negative': 'proof_claim',
  'iat 1e999': 'proof_claim',
  'exp past': 'proof_time',
  'exp a string': 'proof_claim',
  'nbf ahead': 'proof_time',
  'ath missing': 'proof_claim',
  'ath empty': 'proof_claim',
  'ath of another token': 'proof_token',
  'ath in hexadecimal': 'proof_token',
  'ath by SHA-512': 'proof_token',
  'ath in a list': 'proof_claim',
  'nonce a number': 'proof_claim',
  'iat twice': 'proof_malformed',
  'jti twice, once escaped': 'proof_malformed',
  'htu missing': 'proof_claim',
  'htu null': 'proof_claim',
  'htu in a list': 'proof_claim',
  'htu empty': 'proof_claim',
  'htu of another path': 'proof_address',
  'htu of another host': 'proof_address',
  'htu of another port': 'proof_address',
  'htu of another scheme': 'proof_address',
  'htu of a longer host': 'proof_address',
  'htu with a user': 'proof_address',
  'htu with an empty user': 'proof_address',
  'htu with our host as user': 'proof_address',
  'htu with a path alone': 'proof_address',
  'htu without a scheme': 'proof_address',
  'htu without slashes': 'proof_address',
  'htu with one slash': 'proof_address',
  'htu with three slashes': 'proof_address',
  'htu with backslashes': 'proof_address',
  'htu with a dot segment': 'proof_address',
  'htu with two dots': 'proof_address',
  'htu with escaped dots': 'proof_address',
  'htu with two slashes in the path': 'proof_address',
  'htu with an escaped slash': 'proof_address',
  'htu with an incomplete escape': 'proof_address',
  'htu with a space before it': 'proof_address',
  'htu with a line feed behind it': 'proof_address',
  'htu with a tab in it': 'proof_address',
  'htu with a wide letter in the host': 'proof_address',
  'htu with an escape in the host': 'proof_address',
  'htu with a soft hyphen in the host': 'proof_address',
  'htu with a long port': 'proof_address',
  'no dots': 'proof_malformed',
  'two parts': 'proof_malformed',
  'four parts': 'proof_malformed',
  'five parts, as of a JWE': 'proof_malformed',
  'an empty header': 'proof_malformed',
  'an empty payload': 'proof_malformed',
  'padding at the end': 'proof_malformed',
  'a signature spelled in another way': 'proof_malformed',
  'payload null': 'proof_malformed',
  'payload in a list': 'proof_malformed',
  'payload a proof itself': 'proof_malformed',
  'payload cut short': 'proof_malformed',
  'payload of brackets without end': 'proof_malformed',
  'a byte order mark': 'proof_malformed',
  'invalid UTF-8': 'proof_malformed',
  'a proof of 10 kB': 'proof_malformed',
};

describe('hostile proofs get 401, each for its own reason', () => {
  test.each(Object.entries(REASONS) as [HostileProofName, string][])(
    '%s: %s',
    async (name, reason) => {
      proves('RFC 9449 §4.3', 'RFC 9449 §11.6');
      expect(await outcome(hostile[name])).toBe(reason);
    },
  );

  // One of each kind of key and padding; the others differ in the hash only.
  test.each(['RS256', 'PS256', 'ES384', 'EdDSA'] as const)(
    'with a key for %s none is accepted, and a good one is',
    async (alg) => {
      const proofs = hostileProofs({ key: testKey({ alg }, 1), method: 'GET', url, token: mint });
      const accepted: string[] = [];
      for (const [name, headers] of Object.entries(proofs)) {
        const { status } = await api.send({ ...headers }, 'orders');
        if (status !== 401) accepted.push(`${name}: ${status}`);
      }
      expect(accepted).toEqual([]);
      expect(await outcome(good({ key: testKey({ alg }, 1) }))).toBe('accepted');
    },
  );
});

function good({ key: by = key }: { key?: TestKey } = {}): HostileRequest {
  const token = mint({ cnf: { jkt: thumbprintOf(by) } });
  const dpop = createProof({ key: by, method: 'GET', url, token });
  return { authorization: `DPoP ${token}`, dpop };
}

test('a good proof is accepted once', async () => {
  const headers = good();
  expect(await outcome(headers)).toBe('accepted');
  expect(await outcome(headers)).toBe('proof_used');
  expect(await outcome(good())).toBe('accepted');
});
