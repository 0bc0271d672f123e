import { expect, test } from '@jest/globals';
import type { ClientEvent } from '@koa-oauth/client';
import { pino } from 'pino';
import { logClientEvent } from '../src/app.ts';

const durationMs = 12.5;
const failure = { code: 'ERR_TOKEN_ENDPOINT_UNAVAILABLE', detail: 'it answered 503' };

test.each<[ClientEvent, number, object]>([
  [{ type: 'signed_in', durationMs }, 30, { msg: 'signed in', durationMs }],
  [
    { type: 'sign_in_refused', durationMs, ...failure },
    40,
    { msg: 'sign in refused', durationMs, ...failure },
  ],
  [{ type: 'token_refreshed', durationMs }, 20, { msg: 'token refreshed', durationMs }],
  [
    { type: 'token_refresh_failed', transient: true, durationMs, ...failure },
    40,
    { msg: 'token refresh failed', transient: true, durationMs, ...failure },
  ],
  [
    { type: 'session_ended', reason: 'logout', sessions: 1 },
    30,
    { msg: 'session ended', reason: 'logout', sessions: 1 },
  ],
  [{ type: 'warning', ...failure }, 40, { msg: 'warning', ...failure }],
  [
    { type: 'stale_used', issuer: 'https://issuer.example/', what: 'keys', ageMs: 5 },
    40,
    { msg: 'stale used', issuer: 'https://issuer.example/', what: 'keys', ageMs: 5 },
  ],
])('the event %j is a log line of level %i', (event, level, members) => {
  const lines: string[] = [];
  const logger = pino({ level: 'trace', base: null }, { write: (line) => lines.push(line) });
  logClientEvent(logger)(event);
  expect(lines).toHaveLength(1);
  const { time, ...line } = JSON.parse(lines[0] ?? '');
  expect(line).toEqual({ level, ...members });
});
