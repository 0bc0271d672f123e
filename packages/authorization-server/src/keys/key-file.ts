import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { StartError } from '@koa-oauth/service';
import { type SigningKeys, signingKeysSchema } from './signing-keys.ts';

/** Reads the keys of a file, if there is one. @throws StartError */
export function readKeyFile(file: string): SigningKeys | undefined {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(file, error);
  }
  try {
    return signingKeysSchema.parse(JSON.parse(content));
  } catch {
    throw new StartError(
      'invalid_keys',
      `the key file ${file} holds no one to three RS256 keys: delete it, and new ones are made`,
    );
  }
}

/** Writes a first key file. Two servers that start at once get the same keys. @throws StartError */
export function createKeyFile(file: string, keys: SigningKeys): SigningKeys {
  try {
    writeThenPlace(file, keys, linkSync);
    return keys;
  } catch (error) {
    const winner =
      (error as NodeJS.ErrnoException).code === 'EEXIST' ? readKeyFile(file) : undefined;
    if (winner === undefined) throw unusable(file, error);
    return winner;
  }
}

export function replaceKeyFile(file: string, keys: SigningKeys): void {
  try {
    writeThenPlace(file, keys, renameSync);
  } catch (error) {
    throw unusable(file, error);
  }
}

function writeThenPlace(
  file: string,
  keys: SigningKeys,
  place: (draft: string, file: string) => void,
): void {
  // A name that no one can guess and occupy, and that no other thread uses.
  const draft = `${file}.${randomUUID()}`;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(draft, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    chmodSync(draft, 0o600);
    place(draft, file);
  } finally {
    rmSync(draft, { force: true });
  }
}

function unusable(file: string, cause: unknown): StartError {
  const { code } = cause as NodeJS.ErrnoException;
  const message = `the key file ${file} can't be used (${code}): set KEYS to a file of your own`;
  return new StartError('invalid_keys', message, { cause });
}
