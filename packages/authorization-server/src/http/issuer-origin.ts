import type { Context, Middleware, Next } from 'koa';
import type { Provider as Engine, KoaContextWithOIDC } from 'oidc-provider';
import { Provider } from '../oidc-provider.ts';
import { toAuth0Error } from '../token/errors.ts';
import { endpointOf } from './request-target.ts';

type ResponseMode = Parameters<Engine['registerResponseMode']>[1];

/**
 * The endpoints never follow the request's Host or X-Forwarded-* header: a server reached as
 * 127.0.0.1 would otherwise publish addresses that differ from its issuer's. What was sent is kept as
 * `ctx.state.sentHost`.
 */
export function onIssuerOrigin(issuer: string): Middleware {
  const { host, protocol } = new URL(issuer);
  return function issuerOrigin(ctx: Context, next: Next) {
    const { headers } = ctx.req;
    delete headers['x-forwarded-host'];
    delete headers['x-forwarded-for'];
    ctx.state.sentHost = headers.host;
    headers.host = host;
    headers['x-forwarded-proto'] = protocol.slice(0, -1);
    return next();
  };
}

/**
 * An engine that, as Auth0 unless the tenant's flag `authorization_response_iss_parameter_supported`
 * says otherwise, sends no `iss` with an authorization response (RFC 9207): in no response mode, and
 * with a refusal no more than with a code.
 */
export class ProviderWithoutIss extends Provider {
  override registerResponseMode(name: string, respond: ResponseMode): void {
    super.registerResponseMode(name, (ctx, redirectUri, { iss: _, ...response }) =>
      respond(ctx, redirectUri, response),
    );
  }
}

/** Takes `iss` out of the metadata too. */
export function withoutIssInMetadata(): Middleware {
  return async function noIssInMetadata(ctx: Context, next: Next) {
    await next();
    if (endpointOf(ctx)?.startsWith('/.well-known/') && isMetadata(ctx.body)) {
      delete ctx.body.authorization_response_iss_parameter_supported;
    }
  };
}

/**
 * Gives the token endpoint's refusals Auth0's status, code and text. A refresh token that stays the
 * same is not sent again.
 */
export function speakAuth0Errors(provider: Engine): void {
  provider.on('grant.success', ({ oidc, body }) => {
    const kept = oidc.params?.grant_type === 'refresh_token' && !oidc.entities.RotatedRefreshToken;
    if (kept) delete (body as { refresh_token?: string }).refresh_token;
  });
  provider.on('grant.error', (ctx, error) => {
    const { grant_type: grantType } = ctx.oidc.params ?? {};
    const answer = toAuth0Error(error, typeof grantType === 'string' ? grantType : '');
    if (answer === undefined) return;
    ctx.status = answer.status;
    ctx.body = { error: answer.error, error_description: answer.description };
  });
}

/** Keeps what the Actions made of a login once its code or refresh token is out. */
export function afterEachLogin(keep: (ctx: KoaContextWithOIDC) => void): Middleware {
  return async function keepOutcome(ctx: Context, next: Next) {
    await next();
    // The engine puts `oidc` on the context only on its own routes.
    if ('oidc' in ctx && ctx.oidc !== undefined) keep(ctx as unknown as KoaContextWithOIDC);
  };
}

function isMetadata(body: unknown): body is Record<string, unknown> {
  return typeof body === 'object' && body !== null && 'issuer' in body;
}
