import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { publicJwk, signJws, type TestKey } from '@koa-oauth/issuer/testing';
import { testKey } from '../../../../test/support/test-keys.ts';

/** One introspection request. */
export interface Question {
  readonly form: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
}

/** Body of an answer: JSON of an object, or a text as it is. */
export type Reply = object | string | ((response: ServerResponse) => void);

/** An issuer with metadata, a key set and an introspection endpoint whose answers a test decides. */
export interface IntrospectingIssuer {
  readonly issuer: string;
  readonly questions: Question[];
  /** Decides each answer. Default: the claims of `active`. */
  reply: (question: Question) => Reply | Promise<Reply>;
  /** Members of the metadata in addition. */
  metadata: Record<string, unknown>;
  /** Returns the members of an active token for `audience`, changed. Undefined removes one. */
  active(change?: Record<string, unknown>): Record<string, unknown>;
  /** Signs an answer (RFC 9701 §5). */
  sign(
    members: object,
    claims?: Record<string, unknown>,
    header?: Record<string, unknown>,
    key?: TestKey,
  ): string;
  close(): Promise<void>;
}

export const AUDIENCE = 'https://api.example.com';
export const SIGNED = 'application/token-introspection+jwt';

/** Starts an introspecting issuer on a free port. @param now seconds since the epoch */
export async function startIntrospectingIssuer(
  now = () => Date.now() / 1000,
): Promise<IntrospectingIssuer> {
  const key = testKey();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const send = (status: number, body: Reply, type = 'application/json') => {
      if (typeof body === 'function') return body(response);
      response.writeHead(status, { 'content-type': type });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    };
    switch (request.url) {
      case '/.well-known/openid-configuration':
        return send(200, {
          issuer,
          jwks_uri: `${issuer}jwks`,
          introspection_endpoint: `${issuer}introspect?tenant=1`,
          ...stand.metadata,
        });
      case '/jwks':
        return send(200, { keys: [publicJwk(key)] });
      case '/introspect?tenant=1': {
        const form = new URLSearchParams(Buffer.concat(chunks).toString());
        const question = { form, headers: request.headers };
        stand.questions.push(question);
        const body = await stand.reply(question);
        const isJwt = typeof body === 'string' && body.startsWith('eyJ');
        return send(200, body, isJwt ? `${SIGNED};charset=utf-8` : undefined);
      }
      default:
        return send(404, {});
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const stand: IntrospectingIssuer = {
    issuer,
    questions: [],
    metadata: {},
    reply: () => stand.active(),
    active(change = {}) {
      const iat = Math.floor(now());
      const members = {
        active: true,
        iss: issuer,
        sub: 'alice',
        aud: AUDIENCE,
        exp: iat + 3600,
        iat,
        client_id: 'web',
        scope: 'read:orders',
        token_type: 'Bearer',
        ...change,
      };
      return JSON.parse(JSON.stringify(members));
    },
    sign(members, claims = {}, header = {}, signer = key) {
      const iat = Math.floor(now());
      return signJws(
        { alg: signer.alg, kid: signer.kid, typ: 'token-introspection+jwt', ...header },
        { iss: issuer, aud: 'orders-api', iat, token_introspection: members, ...claims },
        signer,
      );
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return stand;
}

/** Returns a reply with another status or body type. */
export const replyWith =
  (status: number, body: string | object, headers: Record<string, string> = {}): Reply =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
