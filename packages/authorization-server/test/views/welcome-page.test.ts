import { afterAll, expect, test } from '@jest/globals';
import { got } from 'got';
import { startDemo, stopServers } from '../support/demo-server.ts';

afterAll(stopServers);

test('the front page says what this is, and its links lead somewhere', async () => {
  const { url } = await startDemo();
  const page = await got(url);
  expect(page.statusCode).toBe(200);
  expect(page.headers['content-type']).toContain('text/html');
  expect(page.body).toContain('This authorization server is up');
  const links = [...page.body.matchAll(/<a href="([^"]+)"/g)].map(([, path]) => path);
  expect(links).toEqual(['/.well-known/openid-configuration', '/.well-known/jwks.json']);
  for (const path of links) expect((await got(url + path)).statusCode).toBe(200);
});
