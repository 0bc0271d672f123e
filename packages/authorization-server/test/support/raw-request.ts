import { connect } from 'node:net';
import type { AuthorizationServer } from '../../src/index.ts';

/** Sends what no client would, byte for byte. @returns all that comes back */
export async function sendRaw(server: AuthorizationServer, request: string): Promise<string> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  socket.end(request, 'latin1');
  return Buffer.concat((await socket.toArray()) as Buffer[]).toString('latin1');
}
