import { PROTECTED_RESOURCE_METADATA_PATH } from '@koa-oauth/resource-server';
import type { Middleware } from 'koa';
import { z } from 'zod';
import { ContactsClaims } from '../access-token.ts';
import { ApiError } from '../errors.ts';
import { type Operation, operation } from '../operation.ts';

const Status = z.object({ status: z.literal('ok') });

/**
 * @param checkParts throws when a part of the service does not answer
 * @param isStopping reports whether the service ends soon
 */
export function healthOperations(
  checkParts: () => Promise<unknown>,
  isStopping: () => boolean,
): Operation[] {
  const check = onceASecond(checkParts);
  return [
    operation({
      id: 'getHealth',
      method: 'get',
      path: '/healthz',
      summary: 'Check that the process runs',
      needs: undefined,
      answers: { 200: { description: 'the process runs', schema: Status } },
      handle(ctx) {
        ctx.body = { status: 'ok' };
      },
    }),
    operation({
      id: 'getReadiness',
      method: 'get',
      path: '/readyz',
      summary: 'Check that the database answers and the issuer’s keys are available',
      needs: undefined,
      answers: {
        200: { description: 'the service is ready', schema: Status },
        503: { description: 'the service is not ready, or is stopping' },
      },
      async handle(ctx) {
        if (isStopping()) throw new ApiError('ERR_NOT_READY');
        await check();
        ctx.body = { status: 'ok' };
      },
    }),
  ];
}

/** Runs a check at most once a second. Calls in between share its outcome, as strangers can make any number. */
function onceASecond(check: () => Promise<unknown>): () => Promise<unknown> {
  let outcome: Promise<unknown> | undefined;
  return function checkOnceASecond() {
    if (outcome === undefined) {
      outcome = check();
      const forget = () => {
        setTimeout(() => {
          outcome = undefined;
        }, 1000).unref();
      };
      outcome.then(forget, forget);
    }
    return outcome;
  };
}

const Me = z.object({
  subject: z.string(),
  client_id: z.string().optional(),
  scopes: z.array(z.string()),
  claims: ContactsClaims,
  expires_at: z.iso.datetime(),
});

export const me: Operation = operation({
  id: 'getMe',
  method: 'get',
  path: '/me',
  summary: 'Show the claims of your access token',
  needs: {},
  answers: { 200: { description: 'subject, client, scopes, custom claims, expiry', schema: Me } },
  handle(ctx) {
    const { payload, scopes, claims } = ctx.state.auth;
    ctx.body = {
      subject: payload.sub,
      client_id: payload.client_id ?? payload.azp,
      scopes,
      claims,
      expires_at: new Date(payload.exp * 1000).toISOString(),
    };
  },
});

/** @param answer handler that answers with the metadata */
export function protectedResourceOperation(answer: Middleware): Operation {
  return operation({
    id: 'getProtectedResourceMetadata',
    method: 'get',
    path: PROTECTED_RESOURCE_METADATA_PATH,
    summary: 'Read the metadata of this protected resource (RFC 9728)',
    needs: undefined,
    answers: {
      200: {
        description: 'the protected resource’s metadata',
        schema: z.looseObject({
          resource: z.string(),
          authorization_servers: z.array(z.string()),
          scopes_supported: z.array(z.string()),
          bearer_methods_supported: z.array(z.string()),
          resource_documentation: z.string(),
          dpop_signing_alg_values_supported: z.array(z.string()),
          dpop_bound_access_tokens_required: z.boolean().optional(),
        }),
      },
    },
    handle: (ctx) => answer(ctx, async () => {}),
  });
}

/** @param accept handler that ends the access tokens of a session */
export function logoutOperation(accept: Middleware): Operation {
  return operation({
    id: 'postBackchannelLogout',
    method: 'post',
    path: '/backchannel-logout',
    summary: 'End the access tokens of a session (OpenID Connect Back-Channel Logout 1.0)',
    description: 'For the issuer. The form has a `logout_token`.',
    needs: undefined,
    answers: {
      200: { description: 'the tokens of the session are refused from now on' },
      400: { description: 'the logout token is not valid, or was used before' },
      429: { description: 'too many refused requests' },
      503: { description: 'the issuer’s keys or the store are unavailable' },
    },
    handle: (ctx) => accept(ctx, async () => {}),
  });
}
