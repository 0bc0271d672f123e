import { randomBytes } from 'node:crypto';
import type Router from '@koa/router';
import type { Context } from 'koa';
import type { Interaction, Provider } from 'oidc-provider';
import { readForm } from '../http/body.ts';
import { resumeInteraction, sessionNotFound } from '../http/current-interaction.ts';
import type { StateStore } from '../state/file.ts';
import type { Returned } from './post-login-api.ts';

/** The beginning of a redirect in the middle of a login. */
export interface RedirectStart {
  /** Without the state. */
  readonly url: string;
  readonly state: string;
}

const KIND = 'RedirectState';
const HOUR = 3600;
const STATE = /^[\w-]{43}$/;

/** A `state` that nobody can guess, good once, for as long as a sign-in may take. */
export function newRedirectState(store: StateStore): string {
  const state = randomBytes(32).toString('base64url');
  store.write(KIND, state, {}, HOUR);
  return state;
}

/** Where the engine sends the browser for a redirect: the cookie of the sign-in has this path. */
export function redirectPath(state: string): string {
  return `/u/redirect/${state}`;
}

/**
 * The way out to where an Action or a rule sends the user, and `/continue`, the way back ("Redirect
 * with Actions"). Whoever gets the state could come back with it, the other site for one: only the
 * browser that has the cookie of this sign-in goes on. An unknown, used or foreign state throws
 * SessionNotFound.
 */
export function routeRedirects(
  router: Router,
  { provider, store }: { provider: Provider; store: StateStore },
): void {
  const path = redirectPath(':state');

  router.get(path, async (ctx) => {
    const { prompt } = await interactionOf(ctx);
    const url = new URL(String(prompt.details.url));
    url.searchParams.set('state', String(ctx.params.state));
    ctx.status = 303;
    ctx.redirect(url.href);
  });

  // The cookie is not for this path, so that two sign-ins in two tabs don't take each other's.
  const back = async (ctx: Context): Promise<void> => {
    const { state } = { ...ctx.query, ...(await readForm(ctx)) };
    if (typeof state !== 'string' || !STATE.test(state)) throw sessionNotFound();
    if (store.read(KIND, state) === undefined) throw sessionNotFound();
    // With the method and the body as they are (RFC 9110 §15.4.8).
    ctx.status = 307;
    ctx.redirect(`${redirectPath(state)}/continue${ctx.search}`);
  };
  router.get('/continue', back);
  router.post('/continue', back);

  const goOn = async (ctx: Context): Promise<void> => {
    await interactionOf(ctx);
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
  };
  router.get(`${path}/continue`, goOn);
  router.post(`${path}/continue`, goOn);

  async function interactionOf(ctx: Context): Promise<Interaction> {
    const interaction = await provider.interactionDetails(ctx.req, ctx.res);
    const { name, details } = interaction.prompt;
    if (name !== 'actions' || details.state !== ctx.params.state) throw sessionNotFound();
    return interaction;
  }
}
