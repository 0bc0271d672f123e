import { writeClaim } from '../claims/custom-claims.ts';
import { isScope, splitScope } from '../claims/scope-changes.ts';
import { type ActionConsole, compileRule } from '../tenant/source-files.ts';
import type { Rule } from '../tenant/tenant.ts';
import type { PostLoginEvent } from './login-event.ts';
import { type ActionOutcome, NO_OUTCOME } from './login-outcome.ts';
import { changeMetadata, type MetadataChanges, NO_CHANGES, withMetadata } from './metadata.ts';
import { redirectUrl } from './redirects.ts';
import { onlyMembers } from './reference.ts';
import {
  type ActionLog,
  consoleOf,
  runAs,
  TIME_LIMIT_MS,
  thrownText,
  withTimeLimit,
} from './run.ts';
import { readMultifactor } from './second-step.ts';

type Claims = Record<string, unknown>;

export interface RuleOptions {
  readonly timeLimit?: number;
  readonly afterRedirect?: boolean;
  /** Stores the metadata of another user. @throws Error when there is no such user. */
  readonly storeMetadata?: ((userId: string, changes: MetadataChanges) => void) | undefined;
}

/** The arguments that one rule passes to the next. */
interface RuleArguments {
  user: unknown;
  context: Record<string, unknown>;
}

/**
 * Runs the rules in their order, before the Actions. The first that fails or takes too long denies the
 * login. After a redirect all run again, and a redirect is ignored ("Redirect Users from Within Rules").
 */
export async function runRules(
  rules: readonly Rule[],
  event: PostLoginEvent,
  log: ActionLog,
  { timeLimit = TIME_LIMIT_MS, afterRedirect = false, storeMetadata }: RuleOptions = {},
): Promise<ActionOutcome> {
  if (rules.length === 0) return NO_OUTCOME;
  const context = toContext(event);
  if (afterRedirect) context.protocol = 'redirect-callback';
  // Auth0 merges `app_metadata` into the user of rules.
  const user = structuredClone({ ...event.user.app_metadata, ...event.user });
  let passed: RuleArguments = { user, context };
  let outcome = NO_OUTCOME;
  const users = new RuleUsers(event, storeMetadata);
  for (const rule of rules) {
    try {
      const current = passed;
      const globals = { console: consoleOf('rule', rule, log), auth0: users.global };
      const work = runAs(rule, () => callRule(rule, current, globals));
      passed = await withTimeLimit(timeLimit, work);
      outcome = toOutcome(rule, passed.context, { log, afterRedirect });
    } catch (error) {
      const denied = missingName(error) ?? thrownText(error, rule);
      log.warn({ rule: rule.name, reason: denied }, 'the rule denied the login or failed');
      const { redirect: _redirect, multifactor: _multifactor, ...others } = outcome;
      return { ...others, ...users.changes(), denied };
    }
  }
  return { ...outcome, ...users.changes() };
}

/** The global `auth0` of rules. What it changes stays, even if a rule denies the login. */
class RuleUsers {
  readonly global: object;
  readonly #event: PostLoginEvent;
  readonly #storeOther: RuleOptions['storeMetadata'];
  #changes = NO_CHANGES;

  constructor(event: PostLoginEvent, storeOther: RuleOptions['storeMetadata']) {
    this.#event = event;
    this.#storeOther = storeOther;
    const users = onlyMembers('auth0.users', {
      updateAppMetadata: (id: unknown, values: unknown) => this.#update('app', id, values),
      updateUserMetadata: (id: unknown, values: unknown) => this.#update('user', id, values),
    });
    this.global = onlyMembers('auth0', { users });
  }

  changes(): Pick<ActionOutcome, 'metadata'> {
    return this.#changes === NO_CHANGES ? {} : { metadata: this.#changes };
  }

  /** Merges the values into the metadata; null removes one. Returns the user. */
  async #update(kind: 'app' | 'user', userId: unknown, values: unknown): Promise<object> {
    const { user } = this.#event;
    const isOwn = userId === user.user_id;
    if (typeof values !== 'object' || values === null || Array.isArray(values)) {
      const method = `auth0.users.update${kind === 'app' ? 'App' : 'User'}Metadata`;
      throw new Error(`${method}: give the id of a user, and an object`);
    }
    let changes = isOwn ? this.#changes : NO_CHANGES;
    for (const [name, value] of Object.entries(values)) {
      changes = changeMetadata(changes, `${kind}_metadata`, name, value);
    }
    if (!isOwn) {
      this.#storeOther?.(String(userId), changes);
      return { user_id: userId, [`${kind}_metadata`]: values };
    }
    this.#changes = changes;
    return withMetadata(user, changes);
  }
}

/** Auth0 gives rules some modules as globals, which `require` loads here. */
function missingName(error: unknown): string | undefined {
  const [, name] = /^(\w+) is not defined$/.exec(thrownText(error)) ?? [];
  return name && `${name} is not available locally: load it with require`;
}

interface RuleGlobals {
  readonly console: ActionConsole;
  readonly auth0: object;
}

function callRule(
  rule: Rule,
  given: RuleArguments,
  { console, auth0 }: RuleGlobals,
): Promise<RuleArguments> {
  return new Promise((resolve, reject) => {
    const run = compileRule(rule)(console, auth0);
    const returned = run(given.user, given.context, (error, user, context) => {
      if (error) reject(error);
      else resolve({ user: user ?? given.user, context: (context ?? given.context) as Claims });
    });
    // An `async` rule that throws never calls back.
    Promise.resolve(returned).catch(reject);
  });
}

/** Reads the context that a rule returns. Removes forbidden members, so that each is logged once. */
function toOutcome(
  rule: Rule,
  context: Claims,
  { log, afterRedirect }: { log: ActionLog; afterRedirect: boolean },
): ActionOutcome {
  const multifactor = multifactorOf(context.multifactor);
  const { url } = (context.redirect ?? {}) as { url?: unknown };
  const redirects = Boolean(context.redirect) && !afterRedirect;
  const redirect = redirects && { url: redirectUrl(url, {}, 'context.redirect.url') };
  const accessToken = readClaims(rule, context, 'accessToken', log);
  const only = readScope(rule, (context.accessToken ?? {}) as Claims, log);
  return {
    accessToken,
    idToken: readClaims(rule, context, 'idToken', log),
    ...(only && { scope: { only, added: [], removed: [] } }),
    ...(redirect && { redirect }),
    ...(multifactor && { multifactor }),
  };
}

/** Reads `context.multifactor`. Unlike Actions, rules remember the browser by default. */
function multifactorOf(given: unknown): ActionOutcome['multifactor'] {
  if (!given) return undefined;
  const { provider, allowRememberBrowser, ignoreCookie } = given as Claims;
  const remember = allowRememberBrowser !== false && ignoreCookie !== true;
  return readMultifactor('context.multifactor', provider, remember);
}

function readClaims(
  rule: Rule,
  context: Claims,
  token: 'accessToken' | 'idToken',
  log: ActionLog,
): Claims {
  const written = (context[token] ?? {}) as Claims;
  const claims: Claims = {};
  for (const [name, value] of Object.entries(written)) {
    if (token === 'accessToken' && name === 'scope') continue;
    if (writeClaim(claims, token, name, value)) continue;
    delete written[name];
    log.warn({ rule: rule.name, token, claim: name }, 'restricted claim dropped');
  }
  return claims;
}

/** Reads `context.accessToken.scope`, which replaces all scopes, even those that RBAC removed. */
function readScope(rule: Rule, accessToken: Claims, log: ActionLog): string[] | undefined {
  const { scope } = accessToken;
  if (scope === undefined || scope === null) return undefined;
  const scopes: unknown[] = Array.isArray(scope) ? scope : splitScope(String(scope));
  for (const wrong of scopes.filter((one) => !isScope(one))) {
    log.warn({ rule: rule.name, scope: wrong }, 'invalid scope dropped');
  }
  const valid = scopes.filter(isScope);
  accessToken.scope = valid;
  return valid;
}

/** Returns the context of Auth0's page "Context Object Properties in Rules". */
function toContext(event: PostLoginEvent): Record<string, unknown> {
  const copy = structuredClone(event);
  const { client, connection, request, transaction, authentication } = copy;
  const { riskAssessment } = authentication;
  return {
    tenant: event.tenant.id,
    clientID: client.client_id,
    clientName: client.name,
    clientMetadata: client.metadata,
    connection: connection.name,
    connectionID: connection.id,
    connectionStrategy: connection.strategy,
    connectionOptions: {},
    connectionMetadata: connection.metadata ?? {},
    // Without SAML both have no effect; a rule may write to them.
    samlConfiguration: {},
    jwtConfiguration: {},
    protocol: transaction.protocol,
    request: {
      ip: request.ip,
      method: request.method,
      userAgent: request.user_agent,
      hostname: request.hostname,
      query: request.query,
      body: request.body,
      geoip: Object.fromEntries(
        Object.entries(request.geoip ?? {}).map(([name, value]) => [snakeCase(name), value]),
      ),
    },
    stats: { loginsCount: event.stats.logins_count },
    sso: { current_clients: copy.session?.clients.map(({ client_id }) => client_id) ?? [] },
    ...(copy.session && { sessionID: copy.session.id }),
    primaryUser: event.user.user_id,
    ...(riskAssessment && { riskAssessment }),
    ...(copy.organization && { organization: copy.organization }),
    authorization: copy.authorization,
    authentication: {
      methods: authentication.methods.map(({ name, timestamp }) => ({
        name,
        timestamp: Date.parse(timestamp),
      })),
    },
    accessToken: {},
    idToken: {},
  };
}

/** Writes a name as rules have it: `countryCode` is `country_code`. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
