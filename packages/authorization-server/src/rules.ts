import { type ActionLog, consoleOf, messageOf, TIME_LIMIT, within } from './action-run.ts';
import { type ActionOutcome, NOTHING, type PostLoginEvent } from './actions.ts';
import { writeClaim } from './custom-claims.ts';
import { compileRule } from './rule-file.ts';
import { isScope } from './scope-changes.ts';
import type { Rule } from './tenant.ts';

type Claims = Record<string, unknown>;

/** What is handed from rule to rule. */
interface Hands {
  user: unknown;
  context: Record<string, unknown>;
}

/**
 * Runs the rules, Auth0's predecessors of the Actions, one after the other; they come before the
 * Actions. The first that gives its callback an error, throws or takes longer than `timeLimit` ends
 * the run and denies the login.
 *
 * @param timeLimit milliseconds for each rule.
 */
export async function runRules(
  rules: readonly Rule[],
  event: PostLoginEvent,
  log: ActionLog,
  timeLimit = TIME_LIMIT,
): Promise<ActionOutcome> {
  let hands: Hands = { user: structuredClone(event.user), context: toContext(event) };
  let outcome = NOTHING;
  for (const rule of rules) {
    try {
      hands = await within(timeLimit, call(rule, hands, log));
      outcome = toOutcome(rule, hands.context, log);
    } catch (error) {
      const denied = messageOf(error);
      log.warn({ rule: rule.name, reason: denied }, 'the rule denied the login or failed');
      return { ...outcome, denied };
    }
  }
  return outcome;
}

function call(rule: Rule, hands: Hands, log: ActionLog): Promise<Hands> {
  return new Promise((resolve, reject) => {
    const run = compileRule(rule)(consoleOf({ rule: rule.name }, log));
    const returned = run(hands.user, hands.context, (error, user, context) => {
      if (error) reject(error);
      else resolve({ user: user ?? hands.user, context: (context ?? hands.context) as Claims });
    });
    // An `async` rule that throws never calls back.
    Promise.resolve(returned).catch(reject);
  });
}

/** What the rule left in the context; what may not be there is taken out, so it is logged once. */
function toOutcome(rule: Rule, context: Claims, log: ActionLog): ActionOutcome {
  // Auth0 would go on without these, and the user would get in without a second factor.
  for (const part of ['multifactor', 'redirect']) {
    if (context[part]) throw new Error(`context.${part} is not available locally`);
  }
  const read = (token: 'accessToken' | 'idToken'): Claims => {
    const written = (context[token] ?? {}) as Claims;
    const claims: Claims = {};
    for (const [name, value] of Object.entries(written)) {
      if (token === 'accessToken' && name === 'scope') continue;
      if (writeClaim(claims, token, name, value)) continue;
      delete written[name];
      log.warn({ rule: rule.name, token, claim: name }, 'restricted claim dropped');
    }
    return claims;
  };
  const accessToken = read('accessToken');
  const only = readScope(rule, (context.accessToken ?? {}) as Claims, log);
  return {
    accessToken,
    idToken: read('idToken'),
    ...(only && { scope: { only, added: [], removed: [] } }),
  };
}

/** `context.accessToken.scope` takes the place of all scopes, those that RBAC left out as well. */
function readScope(rule: Rule, accessToken: Claims, log: ActionLog): string[] | undefined {
  const { scope } = accessToken;
  if (scope === undefined || scope === null) return undefined;
  const scopes: unknown[] = Array.isArray(scope) ? scope : String(scope).split(' ').filter(Boolean);
  const right = scopes.filter(isScope);
  for (const wrong of scopes.filter((one) => !isScope(one))) {
    log.warn({ rule: rule.name, scope: wrong }, 'invalid scope dropped');
  }
  accessToken.scope = right;
  return right;
}

/** "Context Object Properties in Rules". */
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
