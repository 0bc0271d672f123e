import { inspect, types } from 'node:util';
import { type ActionConsole, type ActionExports, compileAction } from '../tenant/source-files.ts';
import type { Action } from '../tenant/tenant.ts';
import { runAs } from './running-source.ts';

/** Where Actions and rules are reported: `info` is their console, `warn` what was dropped or failed. */
export interface ActionLog {
  warn: (fields: object, message: string) => void;
  info: (fields: object, message: string) => void;
}

/** Milliseconds; Auth0's limit is 20 s. */
export const TIME_LIMIT = 20_000;

/** What one Action is told: a copy, so that what it writes there is not seen by the next. */
export function tell<E extends object>(
  action: Action,
  event: E,
): E & { secrets: Record<string, string> } {
  return { ...structuredClone(event), secrets: { ...action.secrets } };
}

/**
 * Runs one Action once.
 *
 * @param event from `tell`.
 * @throws what the Action throws, and an Error when it has no such handler or takes too long.
 */
export async function runAction(
  action: Action,
  handler: keyof ActionExports,
  event: object,
  api: object,
  { log, timeLimit }: { log: ActionLog; timeLimit: number },
): Promise<void> {
  const work = runAs(action, async () => {
    const run = compileAction(action)(consoleOf({ action: action.name }, log))[handler];
    if (run === undefined) throw new Error(`exports no ${handler}`);
    await run(event, api);
  });
  await within(timeLimit, work);
}

export function consoleOf(source: object, log: ActionLog): ActionConsole {
  const write = (...parts: unknown[]): void => {
    log.info({ ...source }, parts.map((part) => show(part)).join(' '));
  };
  return { debug: write, error: write, info: write, log: write, warn: write };
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

/** What is only printed must not deny the login, whatever it is. */
function show(part: unknown): string {
  if (typeof part === 'string') return part;
  try {
    // JSON has nothing of an error; its further fields may be a whole request with its headers.
    if (types.isNativeError(part)) return String(part.stack ?? part);
    return JSON.stringify(part) ?? inspect(part);
  } catch {
    // A circle, a bigint, or what throws when it is read.
    return inspected(part);
  }
}

function inspected(part: unknown): string {
  try {
    return inspect(part, { customInspect: false, getters: false });
  } catch {
    return '[unreadable]';
  }
}
