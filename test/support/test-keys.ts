import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createTestKey, type TestAlgorithm, type TestKey } from '@koa-oauth/issuer/testing';

const KEYS = 4;
const file = new URL('../../node_modules/.cache/koa-oauth/rsa-keys.json', import.meta.url);

/** RSA keys for tests. Creating one takes a tenth of a second, so they are cached on this machine. */
export const rsaJwks = (JSON.parse(readKeys()) as { keys: JsonWebKey[] }).keys;

function readKeys(): string {
  if (existsSync(file)) return readFileSync(file, 'utf8');
  const keys = Array.from({ length: KEYS }, () =>
    generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
  );
  const text = JSON.stringify({ keys });
  mkdirSync(new URL('.', file), { recursive: true });
  // Another worker may read at the same moment: it must see all of the file, or none.
  const unfinished = new URL(`rsa-keys.${process.pid}.json`, file);
  writeFileSync(unfinished, text, { mode: 0o600 });
  renameSync(unfinished, file);
  return text;
}

/** Returns one of the RSA key pairs. Another number is another pair. */
export function rsaKeyPair(number = 0): { publicKey: KeyObject; privateKey: KeyObject } {
  const jwk = rsaJwks[number];
  if (jwk === undefined) throw new Error(`there are ${rsaJwks.length} RSA keys`);
  const privateKey = createPrivateKey({ key: jwk, format: 'jwk' });
  return { publicKey: createPublicKey(privateKey), privateKey };
}

/** Returns what `createTestKey` does, with one of the RSA key pairs. */
export function testKey(
  { kid = 'key-1', alg = 'RS256' }: { kid?: string; alg?: TestAlgorithm } = {},
  number = 0,
): TestKey {
  const isRsa = alg.startsWith('RS') || alg.startsWith('PS');
  return isRsa ? { kid, alg, ...rsaKeyPair(number) } : createTestKey({ kid, alg });
}
