import { resolve } from 'node:path';
import { z } from 'zod';
import { strict } from '../options.ts';
import { createKeyFile, readKeyFile, replaceKeyFile } from './key-file.ts';
import { makeSigningKey, memoryKey, type SigningKey, type SigningKeys } from './signing-keys.ts';

/** Options of `rotateKeys`. */
export interface RotateOptions {
  /** Removes the key that signed until now from the key set; default false. */
  readonly revoke?: boolean | undefined;
}

export const rotationSchema = strict({ revoke: z.boolean('must be true or false').optional() });

type MakeKey = () => Promise<SigningKey>;

export class KeyRing {
  readonly #file: string | undefined;
  readonly #makeKey: MakeKey;
  #keys: SigningKeys;
  /** Ends when all changes have: each one begins after the one before it. */
  #lastChange: Promise<unknown> = Promise.resolve();

  /**
   * Opens the keys, and creates what is missing: the file, or the next key. All servers of a process share
   * those of `memory:`. @throws StartError
   */
  static async open(place: string, makeKey: MakeKey = makeSigningKey): Promise<KeyRing> {
    if (place !== 'memory:') {
      const file = resolve(place.replace(/^file:/, ''));
      return new KeyRing(file, makeKey, await openKeyFile(file, makeKey));
    }
    let count = 0;
    const nextKey: MakeKey = () => memoryKey(count++);
    return new KeyRing(undefined, nextKey, await makeKeys(nextKey));
  }

  private constructor(file: string | undefined, makeKey: MakeKey, keys: SigningKeys) {
    this.#file = file;
    this.#makeKey = makeKey;
    this.#keys = keys;
  }

  get keys(): SigningKeys {
    return this.#keys;
  }

  get current(): SigningKey {
    return this.#keys.keys[0] as SigningKey;
  }

  /** Signs with the next key from now on. @throws StartError; then nothing changes. */
  rotate({ revoke = false }: RotateOptions = {}): Promise<void> {
    return this.#change(async () => {
      const fresh = await this.#makeKey();
      const [old, next] = this.#keys.keys as [SigningKey, SigningKey];
      return [next, fresh, ...(revoke ? [] : [old])];
    });
  }

  revokePrevious(): Promise<void> {
    return this.#change(async () => this.#keys.keys.slice(0, 2));
  }

  #change(makeNext: () => Promise<SigningKey[]>): Promise<void> {
    const change = this.#lastChange.then(async () => {
      const keys = { keys: await makeNext() };
      if (this.#file !== undefined) replaceKeyFile(this.#file, keys);
      this.#keys = keys;
    });
    this.#lastChange = change.catch(() => {});
    return change;
  }
}

async function openKeyFile(file: string, makeKey: MakeKey): Promise<SigningKeys> {
  const found = readKeyFile(file) ?? createKeyFile(file, await makeKeys(makeKey));
  const [current, next] = found.keys;
  if (current === undefined || next !== undefined) return found;
  const completed = { keys: [current, await makeKey()] };
  replaceKeyFile(file, completed);
  return completed;
}

async function makeKeys(makeKey: MakeKey): Promise<SigningKeys> {
  return { keys: await Promise.all([makeKey(), makeKey()]) };
}
