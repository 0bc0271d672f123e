import { Writable } from 'node:stream';
import { type Logger, pino } from 'pino';

/** A server's log whose lines are kept, parsed. */
export function keptLog(): { logger: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const sink = new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)) as Record<string, unknown>);
      done();
    },
  });
  return { logger: pino(sink), lines };
}
