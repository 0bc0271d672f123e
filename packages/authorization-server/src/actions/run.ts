import { AsyncLocalStorage } from 'node:async_hooks';
import { inspect, types } from 'node:util';
import type { Logger } from 'pino';
import { hideSecrets, secretForms } from '../log/redaction.ts';
import {
  type ActionConsole,
  type ActionExports,
  compileAction,
  copyValues,
} from '../tenant/source-files.ts';
import type { Action, Rule, Trigger } from '../tenant/tenant.ts';
import { guardEvent } from './reference.ts';

/** Receives prints of Actions and rules (`info`), and refused values and failures (`warn`). */
export interface ActionLog {
  warn: (fields: object, message: string) => void;
  info: (fields: object, message: string) => void;
}

/** Auth0's limit for one Action. */
export const TIME_LIMIT_MS = 20_000;

const MAX_REASON_LENGTH = 500;

/** The form of a JWT, such as an `id_token_hint` in a printed event. Its parts are base64url of JSON. */
const TOKEN = /(?<![\w-])[\w-]+\.[\w-]+\.[\w-]*/g;

const running = new AsyncLocalStorage<Action | Rule>();

/** Copies the event for one Action, with its secrets: no Action sees what another wrote there. */
export function eventFor<E extends object>(
  trigger: Trigger,
  action: Action,
  event: E,
): E & { secrets: Record<string, string> } {
  const secrets = copyValues(action.secrets, action.withoutValue);
  return guardEvent(trigger, { ...structuredClone(event), secrets });
}

/** @throws the Action's own error, and an Error for a missing handler or an exceeded time limit. */
export async function runAction(
  action: Action,
  handler: keyof ActionExports,
  event: object,
  api: object,
  { log, timeLimit }: { log: ActionLog; timeLimit: number },
): Promise<void> {
  const work = runAs(action, async () => {
    const run = compileAction(action)(consoleOf('action', action, log))[handler];
    if (run === undefined) throw new Error(`exports no ${handler}`);
    await run(event, api);
  });
  await withTimeLimit(timeLimit, work);
}

/** Runs work of an Action or a rule; timers and promises that it starts belong to the same source. */
export function runAs<T>(source: Action | Rule, work: () => T): T {
  return running.run(source, work);
}

/** Returns the Action or rule that started the current work; undefined when none did. */
export function runningSource(): Action | Rule | undefined {
  return running.getStore();
}

/** Returns a console that writes to the log, without the secrets of the source and without tokens. */
export function consoleOf(
  kind: 'action' | 'rule',
  source: Action | Rule,
  log: ActionLog,
): ActionConsole {
  const write = (...parts: unknown[]): void => {
    const line = parts.map(printedText).join(' ');
    log.info({ [kind]: source.name }, withoutSecrets(line, source));
  };
  return { debug: write, error: write, info: write, log: write, warn: write };
}

/** Awaits the work. @throws Error when the time limit is exceeded. */
export async function withTimeLimit<T>(milliseconds: number, work: PromiseLike<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const error = new Error(`took longer than ${milliseconds} ms`);
    timer = setTimeout(reject, milliseconds, error);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Returns what was thrown, or a reason, as one short line for the denied client. Never throws.
 *
 * @param source Action or rule whose secrets are hidden; without it the text is meant for the client.
 */
export function thrownText(thrown: unknown, source?: Action | Rule): string {
  try {
    // An error from an Action may be of another realm, so its shape counts, not its class.
    const message = (thrown as { message?: unknown } | null | undefined)?.message;
    const text = typeof message === 'string' && message !== '' ? message : String(thrown);
    // Secrets are hidden first: a joined line or a cut text can have a part of one.
    const line = (source ? withoutSecrets(text, source) : text)
      .slice(0, MAX_REASON_LENGTH)
      .replace(/\p{Cc}+/gu, ' ')
      .trim();
    // A lone surrogate, which the cut may leave as well, can't be in a URL.
    return Buffer.from(line).toString() || 'no reason was given';
  } catch {
    return 'the reason could not be read';
  }
}

/** Logs failures of an Action or rule that come later, such as in a timer. Any other failure still ends the process. */
export function surviveStrayFailures(log: Pick<Logger, 'error'>): void {
  const handle = (error: unknown): void => {
    const source = runningSource();
    if (source === undefined) {
      process.stderr.write(`${inspect(error)}\n`);
      process.exit(1);
    }
    const { name, file } = source;
    const reason = thrownText(error, source);
    log.error({ name, file, reason }, 'an Action or rule failed after its end: await all work');
  };
  process.on('unhandledRejection', handle);
  process.on('uncaughtException', handle);
}

/** Hides the secrets of an Action, or the configuration of a rule, and tokens. */
function withoutSecrets(text: string, source: Action | Rule): string {
  const secrets = Object.values('secrets' in source ? source.secrets : source.configuration);
  const shown = hideSecrets(text, secretForms(secrets));
  return shown.replace(TOKEN, (run) => (run.includes('eyJ') ? '[hidden]' : run));
}

/** Returns the text of a printed value. Never throws: no printing may deny the login. */
function printedText(part: unknown): string {
  if (typeof part === 'string') return part;
  try {
    // The JSON of an error lacks its message. Its other fields may hold a whole request with its headers.
    if (types.isNativeError(part)) return String(part.stack ?? part);
    return JSON.stringify(part) ?? inspect(part);
  } catch {
    // A circle, a bigint, or a value that throws when it is read.
    try {
      return inspect(part, { customInspect: false, getters: false });
    } catch {
      return '[unreadable]';
    }
  }
}
