import { writeClaim } from '../claims/custom-claims.ts';
import { isScope, splitScope } from '../claims/scope-changes.ts';
import { compileRule } from '../tenant/source-files.ts';
import type { Rule } from '../tenant/tenant.ts';
import type { PostLoginEvent } from './login-event.ts';
import { type ActionOutcome, NO_OUTCOME } from './login-outcome.ts';
import { redirectUrl } from './redirects.ts';
import {
  type ActionLog,
  consoleOf,
  runAs,
  TIME_LIMIT_MS,
  thrownText,
  withTimeLimit,
} from './run.ts';

type Claims = Record<string, unknown>;

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
  { timeLimit = TIME_LIMIT_MS, afterRedirect = false } = {},
): Promise<ActionOutcome> {
  if (rules.length === 0) return NO_OUTCOME;
  const context = toContext(event);
  if (afterRedirect) context.protocol = 'redirect-callback';
  let passed: RuleArguments = { user: structuredClone(event.user), context };
  let outcome = NO_OUTCOME;
  for (const rule of rules) {
    try {
      const current = passed;
      const work = runAs(rule, () => callRule(rule, current, log));
      passed = await withTimeLimit(timeLimit, work);
      outcome = toOutcome(rule, passed.context, { log, afterRedirect });
    } catch (error) {
      const denied = thrownText(error);
      log.warn({ rule: rule.name, reason: denied }, 'the rule denied the login or failed');
      const { redirect: _redirect, ...others } = outcome;
      return { ...others, denied };
    }
  }
  return outcome;
}

function callRule(rule: Rule, given: RuleArguments, log: ActionLog): Promise<RuleArguments> {
  return new Promise((resolve, reject) => {
    const run = compileRule(rule)(consoleOf({ rule: rule.name }, log));
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
  // Auth0 would ignore it, and the user would get in without a second factor.
  if (context.multifactor) throw new Error('context.multifactor is not available locally');
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
  };
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
  const { client, connection, request, transaction } = structuredClone(event);
  return {
    tenant: event.tenant.id,
    clientID: client.client_id,
    clientName: client.name,
    clientMetadata: client.metadata,
    connection: connection.name,
    connectionID: connection.id,
    connectionStrategy: connection.strategy,
    protocol: transaction.protocol,
    request: {
      ip: request.ip,
      method: request.method,
      userAgent: request.user_agent,
      query: request.query,
      body: request.body,
    },
    stats: { loginsCount: event.stats.logins_count },
    ...(event.organization && { organization: structuredClone(event.organization) }),
    authorization: structuredClone(event.authorization),
    authentication: structuredClone(event.authentication),
    accessToken: {},
    idToken: {},
  };
}
