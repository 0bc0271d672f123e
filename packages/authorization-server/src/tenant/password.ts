import { createHash, scrypt, timingSafeEqual } from 'node:crypto';
import type { User } from './tenant.ts';

/** `scrypt$N$r$p$salt$hash`; salt and hash in Base64 or Base64url. */
const FORM = /^scrypt\$(\d{1,8})\$(\d{1,3})\$(\d{1,3})\$([\w+/-]+={0,2})\$([\w+/-]+={0,2})$/;
const MEMORY = 256 * 1024 * 1024;

interface Parts {
  readonly cost: { readonly N: number; readonly r: number; readonly p: number };
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** What is wrong with a `password_hash`; undefined when it can be used. */
export function passwordHashFault(value: string): string | undefined {
  const parts = read(value);
  if (parts === undefined) return 'give scrypt$N$r$p$salt$hash, salt and hash in Base64';
  const { N, r, p } = parts.cost;
  if (N < 2 || !Number.isInteger(Math.log2(N))) return 'N must be a power of 2 above 1';
  if (r < 1 || p < 1 || p > 16) return 'r must be at least 1, and p from 1 to 16';
  // RFC 7914 §6; only a small r is concerned.
  if (N >= 2 ** (16 * r)) return `with an r of ${r}, N must be less than ${2 ** (16 * r)}`;
  if (128 * N * r > MEMORY) return 'N and r need more than 256 MiB';
  if (parts.hash.length < 16) return 'the hash must have at least 16 bytes';
  return undefined;
}

/** Whether this is the user's password; takes as long for a wrong one as for the right one. */
export async function isPassword(user: User, password: string): Promise<boolean> {
  const { password_hash: hash } = user;
  if (hash === undefined) {
    const digest = (value: string): Buffer => createHash('sha256').update(value).digest();
    return user.password !== undefined && timingSafeEqual(digest(password), digest(user.password));
  }
  const parts = read(hash);
  if (parts === undefined) return false;
  return timingSafeEqual(await derive(password, parts), parts.hash);
}

function read(value: string): Parts | undefined {
  const found = FORM.exec(value);
  if (found === null) return undefined;
  const [, N, r, p, salt = '', hash = ''] = found;
  return {
    cost: { N: Number(N), r: Number(r), p: Number(p) },
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(hash, 'base64'),
  };
}

function derive(password: string, { cost, salt, hash }: Parts): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // Twice the memory that scrypt needs: Node's own limit is for the smallest costs only.
    scrypt(password, salt, hash.length, { ...cost, maxmem: 2 * MEMORY }, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
