import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { calculateJwkThumbprint } from 'jose';
import { z } from 'zod';

const keySchema = z.looseObject({
  kty: z.literal('RSA'),
  alg: z.literal('RS256'),
  use: z.literal('sig'),
  kid: z.string(),
  n: z.string(),
  e: z.string(),
  d: z.string(),
  p: z.string(),
  q: z.string(),
  dp: z.string(),
  dq: z.string(),
  qi: z.string(),
});

export const signingKeysSchema = z.object({ keys: z.array(keySchema).min(1).max(3) });

/** A private RS256 key (RFC 7517 §5), named by its thumbprint (RFC 7638). */
export type SigningKey = z.infer<typeof keySchema>;

/** The current key, which signs; the next; and after a rotation the previous one. */
export type SigningKeys = z.infer<typeof signingKeysSchema>;

export async function makeSigningKey(): Promise<SigningKey> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  const jwk = privateKey.export({ format: 'jwk' });
  return keySchema.parse({
    ...jwk,
    alg: 'RS256',
    use: 'sig',
    kid: await calculateJwkThumbprint(jwk),
  });
}

const processKeys: Promise<SigningKey>[] = [];

/** Returns one of the keys of this process: only the first of many servers waits for it. */
export function memoryKey(index: number): Promise<SigningKey> {
  processKeys[index] ??= makeSigningKey();
  return processKeys[index];
}
