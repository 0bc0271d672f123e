import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { OAuth2Server } from 'oauth2-mock-server';
import type { StartServer } from './start-server.ts';

export const oauth2MockServer: StartServer = async (keysFile) => {
  const server = new OAuth2Server();
  const { keys } = server.issuer;
  if (existsSync(keysFile)) await keys.add(JSON.parse(readFileSync(keysFile, 'utf8')));
  else writeFileSync(keysFile, JSON.stringify(await keys.generate('RS256')));
  await server.start(0, '127.0.0.1');
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.stop() };
};
