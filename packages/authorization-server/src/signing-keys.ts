import { generateKeyPair } from 'node:crypto';
import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';
import { calculateJwkThumbprint } from 'jose';
import { z } from 'zod';
import { StartError } from './errors.ts';

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

const keySetSchema = z.object({ keys: z.array(keySchema).min(2) });

/** Private keys (RFC 7517 §5), RS256: the first signs, the second is published before its use. */
export type SigningKeys = z.infer<typeof keySetSchema>;

/**
 * The signing keys of a file; made and written, readable by the owner alone, when there are none.
 *
 * @param place `file:PATH`, or `memory:` for keys that end with the process.
 * @throws StartError when the file is there but is no such key set, or can't be written.
 */
export async function loadSigningKeys(place: string): Promise<SigningKeys> {
  if (place === 'memory:') return makeKeys();
  const file = resolve(place.replace(/^file:/, ''));
  return readKeys(file) ?? keepKeys(file, await makeKeys());
}

function readKeys(file: string): SigningKeys | undefined {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(file, error);
  }
  try {
    return keySetSchema.parse(JSON.parse(content));
  } catch {
    throw new StartError(
      'invalid_keys',
      `the key file ${file} holds no two RS256 keys: delete it, and new ones are made`,
    );
  }
}

/** Written aside and linked into place: two servers that start at once end up with the same keys. */
function keepKeys(file: string, keys: SigningKeys): SigningKeys {
  const draft = `${file}.${process.pid}`;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(draft, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600 });
    chmodSync(draft, 0o600);
    linkSync(draft, file);
    return keys;
  } catch (error) {
    const winner = (error as NodeJS.ErrnoException).code === 'EEXIST' ? readKeys(file) : undefined;
    if (winner === undefined) throw unusable(file, error);
    return winner;
  } finally {
    rmSync(draft, { force: true });
  }
}

function unusable(file: string, cause: unknown): StartError {
  const { code } = cause as NodeJS.ErrnoException;
  const message = `the key file ${file} can't be used (${code}): set KEYS to a file of your own`;
  return new StartError('invalid_keys', message, { cause });
}

async function makeKeys(): Promise<SigningKeys> {
  return keySetSchema.parse({ keys: await Promise.all([makeKey(), makeKey()]) });
}

async function makeKey(): Promise<object> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  const jwk = privateKey.export({ format: 'jwk' });
  return { ...jwk, alg: 'RS256', use: 'sig', kid: await calculateJwkThumbprint(jwk) };
}
