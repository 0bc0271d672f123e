import type { EventEmitter } from 'node:events';
import { logBrokenAnswers } from '@koa-oauth/service';
import type { Context, Middleware, Next } from 'koa';
import type { Client, KoaContextWithOIDC, errors as OidcErrors, Provider } from 'oidc-provider';
import { outcomeOf } from '../actions/login-outcome.ts';
import { splitScope } from '../claims/scope-changes.ts';
import type { AppContext } from '../context.ts';
import { endpointOf, oidcOf, ROUTES } from '../endpoints.ts';
import { errors } from '../oidc-provider.ts';
import { createRedaction } from './redaction.ts';
import {
  actionsStep,
  exchangeTypes,
  knownGrantType,
  loginType,
  refusalType,
  requestStep,
  type StepContext,
  signInStep,
  tokensStep,
} from './steps.ts';
import type { LogType, OpenTransaction, Step } from './transactions.ts';

type EngineContext = Context | KoaContextWithOIDC;
type EngineError = OidcErrors.OIDCProviderError;

/** The record of one request, on Koa's `ctx.state`. */
interface Recording {
  readonly transaction: OpenTransaction;
  refused?: boolean;
  /** The engine's private reason for a refusal. */
  reason?: string | undefined;
}

const RECORDED: readonly string[] = [...Object.values(ROUTES), '/v2/logout'].filter(
  (path) => path !== ROUTES.jwks && path !== ROUTES.code_verification,
);

/** Names of the engine's routes by which a sign-in in the browser goes on. */
const SIGN_IN_ROUTES = ['resume', 'code_verification', 'device_resume'];

/** Records the events of the engine in the transactions and in the log, without any secret. */
export class Recorder {
  readonly #context: StepContext;

  constructor(context: AppContext) {
    this.#context = { ...context, redact: createRedaction(context.tenant) };
  }

  listenTo(provider: Provider): void {
    this.#listenToSignIns(provider);
    this.#listenToTokens(provider);
    this.#listenToLogouts(provider);
    // Koa writes errors to the console unless there is a listener.
    (provider as EventEmitter).on('error', logBrokenAnswers(this.#context.log));
  }

  #listenToSignIns(provider: Provider): void {
    const { pushed_authorization_request: PAR, device_authorization: DEVICE } = ROUTES;
    provider.on('interaction.started', (ctx, { name }) => {
      this.#link(ctx);
      if (name === 'consent') this.#addSignInAndActions(ctx);
    });
    provider.on('authorization.success', (ctx) => this.#authorized(ctx));
    provider.on('authorization.error', (ctx, error) => this.#authorizationRefused(ctx, error));
    provider.on('pushed_authorization_request.error', (ctx, error) => {
      this.#logRefusal(ctx, error, PAR, 'pushed authorization request refused');
    });
    provider.on('device_authorization.success', (ctx) => {
      this.#context.log.info({ client: ctx.oidc.client?.clientId }, 'device code issued');
      this.#link(ctx);
    });
    provider.on('device_authorization.error', (ctx, error) => {
      this.#logRefusal(ctx, error, DEVICE, 'device authorization refused');
    });
    for (const event of ['code_verification.error', 'device_resume.error'] as const) {
      provider.on(event, (ctx, error) => this.#authorizationRefused(ctx, error));
    }
  }

  #listenToTokens(provider: Provider): void {
    provider.on('grant.success', (ctx) => this.#tokensIssued(ctx));
    provider.on('grant.error', (ctx, error) => this.#tokensRefused(ctx, error));
    provider.on('server_error', (ctx, error) => {
      // An Action may refuse with this code too.
      if (error instanceof errors.OIDCProviderError && error.expose) {
        this.#logRefusal(ctx, error, ROUTES.token, 'tokens refused');
      } else this.#context.log.error({ err: error, path: ctx.path }, 'unexpected error');
    });
  }

  #listenToLogouts(provider: Provider): void {
    const { log } = this.#context;
    // The engine's types lack the events of the back channel.
    const events: EventEmitter = provider;
    provider.on('end_session.success', (ctx) => {
      const { client, session } = ctx.oidc;
      log.info({ type: 'slo', client: client?.clientId }, 'logged out');
      this.#add(ctx, { step: 'logout', user: session?.accountId }, 'slo');
    });
    provider.on('end_session.error', (ctx, error) => {
      this.#logRefusal(ctx, error, ROUTES.end_session, 'logout refused');
    });
    events.on('backchannel.success', (_ctx, { clientId: client }: Client, user: string) => {
      const type: LogType = 'oidc_backchannel_logout_succeeded';
      log.info({ type, client, user }, 'application notified of the logout');
    });
    events.on('backchannel.error', (_ctx, err: Error, { clientId }: Client, user: string) => {
      const type: LogType = 'oidc_backchannel_logout_failed';
      const fields = { type, client: clientId, user, err };
      log.warn(fields, 'application not notified of the logout');
    });
  }

  faultInjected(ctx: Context, fault: string): void {
    this.#add(ctx, { step: 'fault', fault });
  }

  /** Records an answer after every change to it. */
  requestAnswered(ctx: Context): void {
    const endpoint = endpointOf(ctx);
    this.#addFailedSignIn(ctx, endpoint);
    // The pages have log lines of their own.
    if (ctx.status === 429 && !endpoint?.startsWith('/u/')) {
      this.#context.log.warn({ type: 'api_limit', endpoint }, 'refused: too many requests');
    }
    if (endpoint === undefined || !RECORDED.includes(endpoint) || ctx.method === 'OPTIONS') return;
    if (isPolling(ctx.body)) return;
    // An API asks again and again.
    if (endpoint === ROUTES.introspection && ctx.status < 400) return;
    // The request that follows is recorded.
    if (ctx.state.forwarded && ctx.status < 400) return;
    const recording = this.#recordingOf(ctx);
    const { loggedOut } = ctx.state as { loggedOut?: { user?: string } };
    if (loggedOut) this.#add(ctx, { step: 'logout', ...loggedOut }, 'slo');
    if (endpoint === ROUTES.revocation) this.#addRevocation(ctx);
    if (recording.refused || ctx.status < 400) return;
    const { error, error_description: text } = (ctx.body ?? {}) as Record<string, unknown>;
    if (typeof error !== 'string' && ctx.respond === false) return;
    const engineCtx = ctx as unknown as KoaContextWithOIDC;
    const step = {
      step: 'refusal',
      status: ctx.status,
      error: this.#context.redact(error, engineCtx) ?? String(ctx.status),
      text: this.#context.redact(text, engineCtx),
      reason: recording.reason,
    } as const;
    this.#add(ctx, step, refusalType(endpoint, step.reason ?? step.text ?? '', engineCtx));
  }

  #authorized(ctx: KoaContextWithOIDC): void {
    const { client, session, result, entities, params } = ctx.oidc;
    this.#link(ctx);
    this.#addSignInAndActions(ctx);
    const outcome = result?.consent === undefined ? 'not asked' : 'accepted';
    this.#add(ctx, { step: 'consent', outcome });
    const type = loginType(ctx);
    const user = session?.accountId;
    const fields = { type, client: client?.clientId, user };
    if (entities.DeviceCode !== undefined) {
      this.#context.log.info(fields, 'device connected');
      this.#add(ctx, { step: 'device' }, type);
    } else if (entities.AuthorizationCode !== undefined) {
      this.#context.log.info(fields, 'code issued');
      this.#add(ctx, { step: 'code' }, type);
    } else {
      this.#context.log.info(fields, 'ID token issued');
      const scope = splitScope(this.#context.redact(params?.scope, ctx));
      this.#add(ctx, { step: 'tokens', kinds: ['id_token'], user, scope, dropped: [] }, type);
    }
  }

  #authorizationRefused(ctx: KoaContextWithOIDC, error: EngineError): void {
    const { result, prompt } = ctx.oidc.entities.Interaction ?? {};
    if (result?.error !== undefined && prompt?.name === 'login') {
      const reason = this.#context.redact(result.error_description, ctx);
      this.#add(ctx, { step: 'sign-in', outcome: 'failed', reason });
    } else if (result?.error !== undefined) {
      this.#add(ctx, { step: 'consent', outcome: 'declined' });
    } else if (outcomeOf(ctx).denied !== undefined) this.#addSignInAndActions(ctx);
    this.#recordingOf(ctx).refused = true;
    const step: Step = {
      step: 'refusal',
      error: error.error,
      text: this.#context.redact(error.error_description, ctx),
      reason: this.#context.redact(error.error_detail, ctx),
    };
    const isDevice = /^(?:code|device)_/.test(ctx.oidc.route);
    const endpoint = isDevice ? ROUTES.code_verification : ROUTES.authorization;
    const type = this.#logRefusal(ctx, error, endpoint, 'authorization refused');
    this.#add(ctx, step, type);
  }

  #tokensIssued(ctx: KoaContextWithOIDC): void {
    const { entities, params, account, client } = ctx.oidc;
    const { transaction } = this.#recordingOf(ctx);
    const grant = params?.grant_type;
    if (grant === 'refresh_token') this.#addActions(ctx);
    const { scope } = entities.AccessToken ?? entities.ClientCredentials ?? {};
    const { succeeded: type } = exchangeTypes(ctx.oidc);
    const fields = { type, client: client?.clientId, user: account?.accountId, grant, scope };
    this.#context.log.info(fields, 'tokens issued');
    this.#add(ctx, tokensStep(this.#context, ctx, transaction.steps), type);
  }

  /** Leaves the step to `requestAnswered`: Auth0's status, code and text are not known yet. */
  #tokensRefused(ctx: KoaContextWithOIDC, error: EngineError): void {
    if (isPolling(error)) return;
    this.#logRefusal(ctx, error, ROUTES.token, 'tokens refused');
    const recording = this.#recordingOf(ctx);
    if (outcomeOf(ctx).denied !== undefined) this.#addActions(ctx);
    recording.reason = this.#context.redact(error.error_detail, ctx);
  }

  /** Adds the failure of a posted sign-in form, for which the engine has no event. */
  #addFailedSignIn(ctx: Context, endpoint: string | undefined): void {
    if (endpoint === undefined || ctx.method !== 'POST' || ctx.status < 400) return;
    // `ctx.path`, because an id is case-sensitive.
    const [, uid] = /^\/u\/login\/([\w-]+)$/.exec(ctx.path) ?? [];
    const reason = ctx.status === 429 ? 'too many failures' : 'wrong e-mail address or password';
    const step: Step = { step: 'sign-in', outcome: 'failed', reason };
    if (uid) this.#context.transactions.find(`uid:${uid}`)?.add(step, ctx.state.loginFailure);
  }

  /** Adds the revocation of a refresh token, for which the engine has no event. */
  #addRevocation(ctx: Context): void {
    const oidc = oidcOf(ctx);
    const { clientId: client, accountId: user } = oidc?.entities.RefreshToken ?? {};
    // The answer is the same for a token of another client, which stays (RFC 7009 §2.2).
    if (ctx.status !== 200 || client === undefined || client !== oidc?.client?.clientId) return;
    this.#context.log.info({ type: 'srrt', client, user }, 'refresh token revoked');
    this.#add(ctx, { step: 'revocation', user }, 'srrt');
  }

  #addSignInAndActions(ctx: KoaContextWithOIDC): void {
    const { steps } = this.#recordingOf(ctx).transaction;
    const isKnown = steps.some((one) => one.step === 'sign-in' && one.outcome !== 'failed');
    if (!isKnown) this.#add(ctx, signInStep(ctx));
    if (!steps.some(({ step }) => step === 'actions')) this.#addActions(ctx);
  }

  #addActions(ctx: KoaContextWithOIDC): void {
    const step = actionsStep(this.#context, ctx);
    if (step !== undefined) this.#add(ctx, step);
  }

  #link(ctx: KoaContextWithOIDC): void {
    const { transaction } = this.#recordingOf(ctx);
    for (const key of keysOf(ctx)) this.#context.transactions.link(key, transaction);
  }

  /** Returns the record of a request; a new transaction begins with the request. */
  #recordingOf(ctx: EngineContext): Recording {
    const state = ctx.state as { recording?: Recording };
    if (state.recording !== undefined) return state.recording;
    const found = keysOf(ctx)
      .map((key) => this.#context.transactions.find(key))
      .find(Boolean);
    const transaction = found ?? this.#context.transactions.begin();
    state.recording = { transaction };
    // A page of a sign-in is no request of the client's.
    const goesOn = found !== undefined && SIGN_IN_ROUTES.includes(oidcOf(ctx)?.route ?? '');
    if (!goesOn) transaction.add(requestStep(this.#context, ctx as KoaContextWithOIDC));
    return state.recording;
  }

  #add(ctx: EngineContext, step: Step, type?: LogType): void {
    this.#recordingOf(ctx).transaction.add(step, type);
  }

  /** Logs a refusal. @returns Auth0's log event type code. */
  #logRefusal(
    { oidc }: KoaContextWithOIDC,
    { error, error_description: text, error_detail: reason = text }: EngineError,
    endpoint: string,
    line: string,
  ): LogType | undefined {
    const type = refusalType(endpoint, reason ?? '', { oidc });
    const grant = endpoint === ROUTES.token ? knownGrantType(oidc) : undefined;
    const client = oidc.client?.clientId;
    // The words of an Action can have a secret; the client gets them as they are.
    const shown = this.#context.redact(reason, { oidc });
    this.#context.log.info({ type, client, grant, error, reason: shown }, line);
    return type;
  }
}

export function recordTransaction(recorder: Recorder): Middleware {
  return async function recordTransaction(ctx: Context, next: Next) {
    await next();
    recorder.requestAnswered(ctx);
  };
}

/** Keys by which the requests of one sign-in find their transaction; the ids are not recorded. */
function keysOf(ctx: EngineContext): string[] {
  const { entities, params } = oidcOf(ctx) ?? {};
  const { Interaction: interaction, AuthorizationCode: code, DeviceCode: device } = entities ?? {};
  const ids = {
    cid: interaction?.cid,
    uid: interaction?.uid,
    grant: code?.grantId,
    device: device?.jti ?? params?.device_code,
  };
  return Object.entries(ids).flatMap(([name, id]) => (id === undefined ? [] : [`${name}:${id}`]));
}

/** Checks for the answer that a device gets every few seconds while it waits for its user. */
function isPolling(answer: unknown): boolean {
  const { error } = (answer ?? {}) as { error?: unknown };
  return error === 'authorization_pending' || error === 'slow_down';
}
