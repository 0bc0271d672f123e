import { hash, timingSafeEqual } from 'node:crypto';
import { compare, truncates } from 'bcryptjs';

/** The password of a user in the tenant file: its text, its hash, or neither. */
interface StoredPassword {
  readonly password?: string | undefined;
  readonly password_hash?: string | undefined;
}

/** A bcrypt hash as Auth0 exports it. With an unused bit set in salt or hash, it would never match. */
const BCRYPT =
  /^\$2[ab]\$(?<cost>\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]$/;
const MIN_COST = 4;
/** Each step doubles the time; this one is more than a second of one core. */
const MAX_COST = 14;

export function passwordFault(password: string): string | undefined {
  return truncates(password)
    ? 'give at most 72 bytes of UTF-8: bcrypt, which Auth0 stores passwords by, reads no more'
    : undefined;
}

export function passwordHashFault(hash: string): string | undefined {
  const cost = BCRYPT.exec(hash)?.groups?.cost;
  if (cost === undefined) {
    return 'give a bcrypt hash as Auth0 exports it: $2b$10$ or $2a$10$, then 53 characters';
  }
  if (Number(cost) >= MIN_COST && Number(cost) <= MAX_COST) return undefined;
  return `the cost is ${cost}: give a hash with a cost from ${MIN_COST} to ${MAX_COST}; Auth0's is 10`;
}

/** Checks a password, in the same time for a wrong one as for the right one. */
export async function isPassword(stored: StoredPassword, password: string): Promise<boolean> {
  if (stored.password_hash !== undefined) {
    // bcrypt ignores everything after 72 bytes: a longer password is not the one that was hashed.
    return !truncates(password) && (await compare(password, stored.password_hash));
  }
  const digest = (text: string): Buffer => hash('sha256', text, 'buffer');
  return (
    stored.password !== undefined && timingSafeEqual(digest(password), digest(stored.password))
  );
}
