import { inspect, types } from 'node:util';
import { type ActionConsole, type ActionExports, compileAction } from './action-file.ts';
import type { Action } from './tenant.ts';

/** Where Actions and rules are reported: `info` is their console, `warn` what was dropped or failed. */
export interface ActionLog {
  warn: (fields: object, message: string) => void;
  info: (fields: object, message: string) => void;
}

/** Milliseconds; Auth0's limit is 20 s. */
export const TIME_LIMIT = 20_000;

/**
 * Runs one Action once.
 *
 * @throws what the Action throws, and an Error when it has no such handler or takes too long.
 */
export async function runAction(
  action: Action,
  handler: keyof ActionExports,
  event: object,
  api: object,
  { log, timeLimit }: { log: ActionLog; timeLimit: number },
): Promise<void> {
  const run = compileAction(action)(consoleOf({ action: action.name }, log))[handler];
  if (run === undefined) throw new Error(`exports no ${handler}`);
  // A copy each: what one Action writes into its event is not seen by the next, as at Auth0.
  const told = { ...structuredClone(event), secrets: { ...action.secrets } };
  await within(timeLimit, run(told, api));
}

export function consoleOf(source: object, log: ActionLog): ActionConsole {
  const write = (...parts: unknown[]): void => {
    log.info({ ...source }, parts.map((part) => show(part)).join(' '));
  };
  return { debug: write, error: write, info: write, log: write, warn: write };
}

export function messageOf(error: unknown): string {
  // An error from an Action may be of another realm, so its shape counts, not its class.
  const message = (error as { message?: unknown } | null)?.message;
  return typeof message === 'string' && message !== '' ? message : String(error);
}

export async function within<T>(milliseconds: number, work: T | PromiseLike<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`took longer than ${milliseconds} ms`));
    }, milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function show(part: unknown): string {
  if (typeof part === 'string') return part;
  // JSON has nothing of an error; its further fields may be a whole request with its headers.
  if (types.isNativeError(part)) return part.stack ?? String(part);
  try {
    return JSON.stringify(part) ?? inspect(part);
  } catch {
    // A circle or a bigint: what is only printed must not deny the login.
    return inspect(part);
  }
}
