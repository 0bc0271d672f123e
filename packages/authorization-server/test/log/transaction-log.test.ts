import { Writable } from 'node:stream';
import { afterAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { sendRaw } from '../support/raw-request.ts';
import {
  authorizationRequest,
  CALLBACK,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

afterAll(stopServers);

test('a login is told step by step, and nothing secret is in it', async () => {
  let written = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written += chunk;
      done();
    },
  });
  const server = await startDemo(undefined, { logger: pino({ level: 'trace' }, stream) });
  const { tokens } = await tokensFor(server, 'alice');
  await requestTokens(server, {
    grant_type: 'refresh_token',
    refresh_token: tokens.refresh_token ?? '',
  });

  const request = authorizationRequest(server);
  const callback = await signIn(openBrowser(), request, 'bob');
  const code = callback.get('code') ?? '';
  await requestTokens(server, {
    grant_type: 'authorization_code',
    code,
    redirect_uri: CALLBACK,
    code_verifier: 'x'.repeat(43),
  });

  const messages = written
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { msg: string }).msg);
  expect(messages).toEqual([
    'login succeeded',
    'consent answered',
    'code issued',
    'tokens issued',
    'tokens issued',
    'login succeeded',
    'consent answered',
    'code issued',
    'tokens refused',
  ]);
  const secrets = [
    ...Object.values(tokens).filter((value) => String(value).length > 20 && !/ /.test(value)),
    code,
    request.verifier,
    'contacts-web-demo-secret',
    'alice-demo',
    'bob-demo',
  ];
  for (const secret of secrets) expect(written).not.toContain(secret);
});

test('a grant type that is not known may be a secret: it is not logged', async () => {
  const log: string[] = [];
  const logger = pino({ level: 'trace' }, { write: (line: string) => log.push(line) });
  const server = await startDemo(undefined, { logger });
  await requestTokens(server, { grant_type: 'a-secret-in-the-wrong-field' });
  await requestTokens(server, { grant_type: 'password' });
  const [unknown, known] = log.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(unknown).toMatchObject({ msg: 'tokens refused', error: 'unsupported_grant_type' });
  expect(known).toMatchObject({ msg: 'tokens refused', grant: 'password', type: 'fepft' });
  expect(log.join()).not.toContain('wrong-field');
});

// A Buffer is logged as its bytes, in one of two ways: [80,79] or {"0":80,"1":79}.
const bytesIn = (line: string) =>
  Buffer.from(
    [...line.matchAll(/[:,[](\d{1,3})(?=[,\]}])/g)].map(([, byte]) => Number(byte)),
  ).toString('latin1');

test.each(['/oauth/token', '/u/login/x', '/nowhere'])(
  'of a request to %s that breaks off, nothing it carried is in the log',
  async (path) => {
    const log: string[] = [];
    const logger = pino({ level: 'trace' }, { write: (line: string) => log.push(line) });
    const server = await startDemo(undefined, { logger });
    const secrets = ['the-session-cookie', 'the-client-secret', 'the-bearer-token'];
    const answer = await sendRaw(
      server,
      `POST ${path} HTTP/1.1\r\nHost: x\r\nCookie: issuer_session=${secrets[0]}\r\n` +
        `Authorization: Bearer ${secrets[2]}\r\nTransfer-Encoding: chunked\r\n\r\n` +
        `ZZZ\r\nclient_secret=${secrets[1]}`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    // What the parser rejected ends for the application when its connection does.
    await server.close();
    const written = [answer, ...log, ...log.map(bytesIn)].join();
    if (path === '/oauth/token') expect(written).toContain('tokens refused');
    for (const secret of secrets) expect(written).not.toContain(secret);
  },
);
