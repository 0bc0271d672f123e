import type { ClientEvent } from '@koa-oauth/client';
import type { Level, Logger } from 'pino';

const LEVELS: Readonly<Record<ClientEvent['type'], Level>> = {
  signed_in: 'info',
  sign_in_refused: 'warn',
  token_refreshed: 'debug',
  token_refresh_failed: 'warn',
  session_ended: 'info',
  warning: 'warn',
  keys_refreshed: 'debug',
  keys_left_out: 'warn',
  refresh_failed: 'warn',
  stale_used: 'warn',
};

/** Writes what happens to sign-ins, tokens and sessions to the log; none of it names a person. */
export function logClientEvent(logger: Logger): (event: ClientEvent) => void {
  return function logEvent({ type, ...particulars }) {
    logger[LEVELS[type]](particulars, type.replaceAll('_', ' '));
  };
}
