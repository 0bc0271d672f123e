import type { KoaContextWithOIDC } from 'oidc-provider';

/** Of a body, what no Action is to see. */
const SECRET = ['client_secret', 'client_assertion', 'refresh_token', 'code', 'code_verifier'];

/** What an Action is told of the HTTP request. */
export interface RequestFacts {
  readonly ip: string;
  readonly method: string;
  readonly user_agent: string;
  /** Of this server. */
  readonly hostname?: string;
  /** As the browser sent it in `Accept-Language`. */
  readonly language?: string;
  /** Of a request to the token endpoint, without what is secret in it. */
  readonly body: Record<string, unknown>;
}

export function requestOf(ctx: KoaContextWithOIDC): RequestFacts {
  return {
    ip: ctx.req.socket.remoteAddress ?? '',
    method: ctx.method,
    user_agent: ctx.get('user-agent'),
    hostname: ctx.hostname,
    language: ctx.get('accept-language'),
    body: Object.fromEntries(
      Object.entries(ctx.oidc.body ?? {}).filter(([name]) => !SECRET.includes(name)),
    ),
  };
}
