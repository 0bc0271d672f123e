import { randomBytes } from 'node:crypto';
import Router from '@koa/router';
import { parseURL } from '@koa-oauth/service';
import type { Context } from 'koa';
import type { Interaction, Provider } from 'oidc-provider';
import { readForm } from '../http/body.ts';
import { resumeInteraction, sessionNotFound } from '../http/current-interaction.ts';
import type { StateStore } from '../state/memory.ts';
import type { PostLoginEvent } from './login-event.ts';

/** The request to `/continue` with which the user returned. */
export interface Returned {
  readonly state: string;
  /** Fields of query and body; the body's win. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Replaces the facts of the authorization request. */
  readonly request: Pick<PostLoginEvent['request'], 'method' | 'query' | 'body'>;
}

interface RedirectParts {
  readonly provider: Provider;
  readonly store: StateStore;
}

const KIND = 'RedirectState';
const LIFETIME_SECONDS = 3600;
const STATE = /^[\w-]{43}$/;

/** Returns the URL with the query. @throws Error naming the caller for anything but http or https. */
export function redirectUrl(url: unknown, query: unknown, caller: string): string {
  const target = parseURL(url);
  if (!target || !/^https?:$/.test(target.protocol)) {
    throw new Error(`${caller}: give an absolute URL that begins with https:// or http://`);
  }
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null) target.searchParams.set(name, String(value));
  }
  return target.href;
}

/** Creates an unguessable `state`, valid once, for the time that a sign-in may last. */
export function newRedirectState(store: StateStore): string {
  const state = randomBytes(32).toString('base64url');
  store.write(KIND, state, {}, LIFETIME_SECONDS);
  return state;
}

/** Path to which the engine sends the browser; it is the path of the sign-in's cookie. */
export function redirectPath(state: string): string {
  return `/u/redirect/${state}`;
}

/**
 * Routes of a redirect: out to its target, and back by `/continue` ("Redirect with Actions"). The target
 * knows the state, so the state proves nothing: the browser must have the cookie of this sign-in.
 */
export function redirectRoutes({ provider, store }: RedirectParts): Router {
  const router = new Router();
  const path = redirectPath(':state');

  router.get(path, async (ctx) => {
    const { prompt } = await interactionOfRedirect(provider, ctx);
    const url = new URL(String(prompt.details.url));
    url.searchParams.set('state', String(ctx.params.state));
    ctx.status = 303;
    ctx.redirect(url.href);
  });

  // The cookie has another path, so that two sign-ins in two tabs don't share one.
  router.register('/continue', ['GET', 'POST'], async (ctx) => {
    const { state } = { ...ctx.query, ...(await readForm(ctx)) };
    if (typeof state !== 'string' || !STATE.test(state)) throw sessionNotFound();
    if (store.read(KIND, state) === undefined) throw sessionNotFound();
    // 307 preserves method and body (RFC 9110 §15.4.8).
    ctx.status = 307;
    ctx.redirect(`${redirectPath(state)}/continue${ctx.search}`);
  });

  router.register(`${path}/continue`, ['GET', 'POST'], async (ctx) => {
    await interactionOfRedirect(provider, ctx);
    const body = await readForm(ctx);
    const state = String(ctx.params.state);
    if (!store.consume(KIND, state)) throw sessionNotFound();
    const { query, method } = ctx;
    const returned: Returned = {
      state,
      fields: { ...query, ...body },
      request: { method, query: { ...query }, body },
    };
    await resumeInteraction(provider, ctx, { returned });
  });
  return router;
}

/** @throws SessionNotFound when the sign-in in the browser's cookie waits for another state. */
async function interactionOfRedirect(provider: Provider, ctx: Context): Promise<Interaction> {
  const interaction = await provider.interactionDetails(ctx.req, ctx.res);
  const { name, details } = interaction.prompt;
  if (name !== 'actions' || details.state !== ctx.params.state) throw sessionNotFound();
  return interaction;
}
