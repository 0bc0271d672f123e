import { afterAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { sendRaw } from '../support/raw-request.ts';

afterAll(stopServers);

test.each([
  ['http://[/x?code=SECRET', 400],
  ['a://?code=SECRET', 400],
  ['http://%zz/x?code=SECRET', 404],
  ['//[/x?code=SECRET', 404],
])('the target %s is a %i page, and its query in no log', async (target, status) => {
  const log: string[] = [];
  const logger = pino({ level: 'trace' }, { write: (line: string) => log.push(line) });
  const answer = await sendRaw(
    await startDemo(undefined, { logger }),
    `GET ${target} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n`,
  );
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(answer).toMatch(/^content-type: text\/html/im);
  expect(answer).toMatch(/^content-security-policy: /im);
  expect([answer, ...log].join()).not.toContain('SECRET');
});
