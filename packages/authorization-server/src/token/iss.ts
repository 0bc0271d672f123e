import type { Context, Middleware, Next } from 'koa';
import type { Provider as Engine } from 'oidc-provider';
import { endpointOf } from '../endpoints.ts';
import { Provider } from '../oidc-provider.ts';

type ResponseMode = Parameters<Engine['registerResponseMode']>[1];

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

function isMetadata(body: unknown): body is Record<string, unknown> {
  return typeof body === 'object' && body !== null && 'issuer' in body;
}
