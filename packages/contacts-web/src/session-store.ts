import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { memoryStore, type SessionStore } from '@koa-oauth/client';
import { postgresStore } from '@koa-oauth/client/postgres';
import { redisStore } from '@koa-oauth/client/redis';
import { sqliteStore } from '@koa-oauth/client/sqlite';

/** Opens the session store of a `SESSION_STORE_URL`. */
export function openSessionStore(url: string): SessionStore {
  if (url === 'memory:') return memoryStore();
  if (url.startsWith('file:')) return sqliteStore({ path: url.replace(/^file:/, '') });
  if (url.startsWith('postgres')) return postgresStore({ url, prefix: 'contacts_web_' });
  return redisStore({ url, prefix: 'contacts-web:' });
}

/**
 * Returns the secret that encrypts sessions when `SECRET` is not set. The first call creates it, in a
 * file that only this user can read. Sessions survive a restart that way.
 */
export function sessionSecret(folder: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, 'session-secret');
  try {
    // "wx" fails for an existing file: two processes that start together get the same secret.
    writeFileSync(path, randomBytes(32).toString('base64url'), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const secret = readFileSync(path, 'utf8').trim();
  if (secret.length >= 32) return secret;
  throw new Error(`${path} contains no secret: delete it, and a new one is made`);
}
