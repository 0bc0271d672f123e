import { resolve } from 'node:path';
import { createKeyFile, readKeyFile, replaceKeyFile } from './key-file.ts';
import { makeSigningKey, memoryKey, type SigningKey, type SigningKeys } from './signing-keys.ts';

/** Options of `rotateKeys`. */
export interface RotateOptions {
  /** Whether the key that signed until now leaves the key set at once; default false. */
  readonly revoke?: boolean | undefined;
}

type MakeKey = () => Promise<SigningKey>;

/** The signing keys of a server. */
export interface KeyRing {
  readonly keys: SigningKeys;
  /** The one that signs. */
  readonly current: SigningKey;
  /**
   * The next key becomes the current, the current the previous, and a fresh one the next. A previous
   * one of before leaves the set.
   *
   * @throws StartError when the key file can't be written; the keys stay as they are.
   */
  rotate(options?: RotateOptions): Promise<void>;
  /** Takes the previous key out of the set. @throws StartError as above. */
  revokePrevious(): Promise<void>;
}

/**
 * The keys of a file, made and written when there are none; a file of one key gains the next.
 *
 * @param place `file:PATH`, or `memory:` for keys that all servers of this process share and that
 *   end with it.
 * @throws StartError when the file is there but is no such key set, or can't be written.
 */
export async function openKeyRing(place: string): Promise<KeyRing> {
  const file = place === 'memory:' ? undefined : resolve(place.replace(/^file:/, ''));
  let count = 0;
  const makeKey: MakeKey = () => (file === undefined ? memoryKey(count++) : makeSigningKey());
  let keys = file === undefined ? await makeKeys(makeKey) : await openKeyFile(file, makeKey);
  const save = (changed: SigningKey[]): void => {
    if (file !== undefined) replaceKeyFile(file, { keys: changed });
    keys = { keys: changed };
  };

  // One change at a time: each begins with what the one before it left.
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = (change: () => Promise<void>): Promise<void> => {
    const mine = turn.then(change);
    turn = mine.catch(() => {});
    return mine;
  };

  return {
    get keys() {
      return keys;
    },
    get current() {
      return keys.keys[0] as SigningKey;
    },
    rotate: ({ revoke = false } = {}) =>
      inTurn(async () => {
        const fresh = await makeKey();
        const [old, next] = keys.keys as [SigningKey, SigningKey];
        save([next, fresh, ...(revoke ? [] : [old])]);
      }),
    revokePrevious: () => inTurn(async () => save(keys.keys.slice(0, 2))),
  };
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
