import { inspect } from 'node:util';
import type { Logger } from 'pino';
import type { Action, Rule } from '../tenant/tenant.ts';
import { runningSource } from './running-source.ts';
import { thrownText } from './thrown-text.ts';

/**
 * Lets the process go on when an Action or a rule has left something behind that fails: a promise
 * that nobody awaits, a timer that throws. It is logged. Any other failure ends the process, as it
 * would have without this.
 */
export function surviveStrayFailures(log: Pick<Logger, 'error'>): void {
  const judge = (error: unknown): void => {
    const source = runningSource();
    if (source === undefined) {
      process.stderr.write(`${inspect(error)}\n`);
      process.exit(1);
    }
    const { name, file } = source;
    const reason = withoutSecrets(thrownText(error), source);
    log.error({ name, file, reason }, 'an Action or rule left something that failed: await it');
  };
  process.on('unhandledRejection', judge);
  process.on('uncaughtException', judge);
}

function withoutSecrets(text: string, source: Action | Rule): string {
  const secrets = Object.values('secrets' in source ? source.secrets : source.configuration);
  return secrets
    .filter((secret) => secret !== '')
    .reduce((shown, secret) => shown.replaceAll(secret, '[hidden]'), text);
}
