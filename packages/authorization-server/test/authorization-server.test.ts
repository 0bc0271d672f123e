import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { startDemo, stopServers } from './demo-server.ts';
import { authorizationRequest, callbackOf, requestTokens, tokensFor } from './sign-in.ts';

const directory = mkdtempSync(join(tmpdir(), 'issuer-'));
afterAll(async () => {
  await stopServers();
  rmSync(directory, { recursive: true });
});

test('a free port becomes part of the issuer, which ends in a slash', async () => {
  const server = await startDemo();
  const { port } = new URL(server.url);
  expect(server.issuer).toBe(`http://localhost:${port}/`);
  expect(server.url).toBe(`http://127.0.0.1:${port}`);
});

test('a port in use is named, with what to do', async () => {
  const port = Number(new URL((await startDemo()).url).port);
  await expect(startDemo(undefined, { port })).rejects.toMatchObject({
    name: 'StartError',
    code: 'EADDRINUSE',
    message: `port ${port} on 127.0.0.1 is in use: stop what listens there or set PORT`,
  });
});

describe('a state file and a key file', () => {
  test('keep logins, consents and refresh tokens over a restart', async () => {
    const options = {
      state: `file:${join(directory, 'deep/state.db')}`,
      keys: `file:${join(directory, 'deep/keys.json')}`,
    };
    const first = await startDemo(undefined, options);
    const { browser, tokens } = await tokensFor(first);
    await first.close();
    expect(statSync(join(directory, 'deep/keys.json')).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, 'deep/state.db')).mode & 0o777).toBe(0o600);

    const port = Number(new URL(first.url).port);
    const second = await startDemo(undefined, { ...options, port });
    expect(second.issuer).toBe(first.issuer);
    const silent = authorizationRequest(second, { prompt: 'none' });
    expect(callbackOf(await browser.get(silent.url)).get('code')).toBeTruthy();
    const refreshed = await requestTokens(second, {
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token ?? '',
    });
    expect(refreshed.status).toBe(200);
  });

  test('that can not be used stop the start, and the port is free again', async () => {
    const state = `file:${directory}`;
    await expect(startDemo(undefined, { state })).rejects.toMatchObject({
      name: 'StartError',
      message: expect.stringContaining(`the state file ${directory} can't be used`),
    });
  });
});

test('close does not wait for a connection that is kept alive, and may be called twice', async () => {
  const server = await startDemo();
  const agent = new Agent({ keepAlive: true });
  await new Promise((resolve, reject) => {
    get(`${server.url}/.well-known/jwks.json`, { agent }, (answer) => {
      answer.resume().on('end', resolve);
    }).on('error', reject);
  });
  await Promise.all([server.close(), server.close()]);
  agent.destroy();
});
