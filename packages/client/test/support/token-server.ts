import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { publicJwk, signJws, type TestKey } from '@koa-oauth/issuer/testing';
import { testKey } from '../../../../test/support/test-keys.ts';

/** Answer of the token endpoint instead of its own; `lost` rotates, then cuts the connection. */
export type Answer =
  | { status: number; headers?: Record<string, string>; body?: unknown }
  | { more: Record<string, unknown> }
  | 'lost';

/** An authorization server of which only the refresh works: real HTTP, rotation, reuse detection. */
export interface TokenServer {
  readonly issuer: string;
  /** Requests to its token endpoint, in order. */
  readonly grants: URLSearchParams[];
  /** `DPoP` headers of these requests. */
  readonly proofs: (string | undefined)[];
  /** Requests to its revocation endpoint, in order. */
  readonly revoked: string[];
  /** Milliseconds from the request to the rotation, and again to the answer. */
  delay: number;
  /** Accepts the previous refresh token once more. */
  leeway: boolean;
  rotates: boolean;
  /** Serves the key set. */
  hasKeys: boolean;
  /** Decides on each answer; undefined: its own. */
  onGrant: (form: URLSearchParams) => Answer | undefined | Promise<Answer>;
  /** A refresh token of a new family. */
  begin(): string;
  /** An ID token for `user-1` of `client-1`; a claim given as undefined is left out. */
  idToken(claims: Record<string, unknown>, key?: TestKey): string;
  close(): Promise<void>;
}

export const SIGN_INS_SCOPE = 'openid read write';

export async function startTokenServer(): Promise<TokenServer> {
  const key = testKey({ kid: 'key-1' });
  const families = new Map<string, { current: string; previous: string | undefined }>();
  let issued = 0;

  const route = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const form = new URLSearchParams(await text(request));
    if (request.url === '/.well-known/openid-configuration') return send(response, 200, metadata());
    if (request.url === '/jwks') {
      return send(response, server.hasKeys ? 200 : 503, { keys: [publicJwk(key)] });
    }
    if (request.url === '/oauth/revoke') {
      server.revoked.push(form.get('token') ?? '');
      return send(response, 200, {});
    }
    server.grants.push(form);
    server.proofs.push(request.headers.dpop as string | undefined);
    const answer = await server.onGrant(form);
    if (answer && typeof answer === 'object' && 'status' in answer) {
      return send(response, answer.status, answer.body ?? {}, answer.headers);
    }
    await pause(server.delay);
    const refreshToken = rotate(form.get('refresh_token') ?? '');
    await pause(server.delay);
    if (answer === 'lost') {
      request.socket.resetAndDestroy();
      return;
    }
    if (refreshToken === undefined) return send(response, 400, { error: 'invalid_grant' });
    issued += 1;
    const body = {
      access_token: `access-${issued}`,
      token_type: 'Bearer',
      expires_in: 3600,
      scope: form.get('scope') ?? SIGN_INS_SCOPE,
      refresh_token: refreshToken,
      ...answer?.more,
    };
    return send(response, 200, body);
  };

  /** @returns the next one, or undefined when this one is not good; its family ends then */
  const rotate = (used: string): string | undefined => {
    const [family = ''] = used.split('.');
    const state = families.get(family);
    const isGood = used === state?.current || (server.leeway && used === state?.previous);
    if (!state || !isGood) {
      families.delete(family);
      return undefined;
    }
    if (!server.rotates) return used;
    const [, count = '0'] = state.current.split('.');
    const current = `${family}.${Number(count) + 1}`;
    families.set(family, { current, previous: state.current });
    return current;
  };

  const http = createServer((request, response) => {
    route(request, response).catch(() => request.socket.destroy());
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const issuer = `http://127.0.0.1:${(http.address() as AddressInfo).port}/`;
  const metadata = () => ({
    issuer,
    jwks_uri: `${issuer}jwks`,
    authorization_endpoint: `${issuer}authorize`,
    token_endpoint: `${issuer}oauth/token`,
    revocation_endpoint: `${issuer}oauth/revoke`,
  });

  const server: TokenServer = {
    issuer,
    grants: [],
    proofs: [],
    revoked: [],
    delay: 0,
    leeway: false,
    rotates: true,
    hasKeys: true,
    onGrant: () => undefined,
    begin() {
      const family = `refresh-${families.size + 1}`;
      families.set(family, { current: `${family}.1`, previous: undefined });
      return `${family}.1`;
    },
    idToken(claims, signer = key) {
      const iat = Math.floor(Date.now() / 1000);
      const payload = { iss: issuer, sub: 'user-1', aud: 'client-1', iat, exp: iat + 300 };
      return signJws({ alg: 'RS256', kid: key.kid }, { ...payload, ...claims }, signer);
    },
    async close() {
      http.closeAllConnections();
      await once(http.close(), 'close');
    },
  };
  return server;
}

function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

async function text(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) body += chunk;
  return body;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref());
}
