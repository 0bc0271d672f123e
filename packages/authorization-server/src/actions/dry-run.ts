import { parseArgs } from 'node:util';
import { StartError } from '@koa-oauth/service';
import { isStandardClaim, SCOPE_CLAIMS } from '../claims/custom-claims.ts';
import { isMember } from '../claims/organizations.ts';
import { changeScope, splitScope } from '../claims/scope-changes.ts';
import { askedScopes, nothingToGrant } from '../login/grants.ts';
import {
  type Api,
  type Application,
  findApi,
  type Organization,
  requestableScopes,
  resourceOf,
  type Tenant,
  type User,
} from '../tenant/tenant.ts';
import { connectionInId } from '../tenant/users.ts';
import { ActionCache } from './cache.ts';
import { type PostLoginEvent, toPostLoginEvent } from './login-event.ts';
import { settleClaimScopes } from './login-outcome.ts';
import { NO_CHANGES, withMetadata } from './metadata.ts';
import type { ActionLog } from './run.ts';
import { runLogin } from './run-actions.ts';
import { factorsOf } from './second-step.ts';

/** The login of a dry run. */
interface DryRunLogin {
  readonly user: User;
  readonly application: Application;
  /** Undefined without an audience. */
  readonly api: Api | undefined;
  readonly organization: Organization | undefined;
  readonly scope: string;
}

const USAGE =
  'usage: dry-run --user E-MAIL [--client CLIENT_ID] [--audience IDENTIFIER] [--scope "A B"] ' +
  '[--organization ID]';

/** Runs the tenant's rules and post-login Actions for one login. @returns their effect, for a person. */
export async function dryRun(tenant: Tenant, login: DryRunLogin) {
  const { user, application, api, organization } = login;
  const { log, reported } = recordingLog();
  const params = paramsOf(login);
  const event = eventOf(tenant, login, params);
  const cache = new ActionCache();
  const run = await runLogin(tenant, event, { log, cache });
  const metadata = run.metadata ?? NO_CHANGES;
  const { app_metadata: appMetadata } = withMetadata(user, metadata);
  const [step] = run.steps ?? [];
  // A redirected login has not ended: its claims are settled at its end.
  const outcome =
    run.redirect === undefined && step === undefined
      ? settleClaimScopes(run, event.transaction.requested_scopes, { api, appMetadata })
      : run;
  const asked = askedScopes(tenant, user, params);
  const granted = [...(asked?.oidc ?? []), ...(asked?.claims ?? []), ...(asked?.allowed ?? [])];
  const idToken = grantedClaims(outcome.idToken, granted, reported.dropped);
  const fault = asked && nothingToGrant(asked);
  const denied = user.blocked ? 'the user is blocked' : (outcome.denied ?? fault ?? null);
  const unlessDenied = <T>(value: T): T | null => (denied === null ? value : null);
  return {
    user: user.user_id,
    client: application.client_id,
    audience: api?.identifier ?? null,
    organization: organization?.id ?? null,
    denied,
    scope: unlessDenied(changeScope(granted.join(' '), outcome.scope) ?? ''),
    // An access token without an audience is opaque: it has no claims.
    accessToken: unlessDenied(api === undefined ? null : outcome.accessToken),
    idToken: unlessDenied(idToken),
    // The Actions after a redirect, or after a second step, did not run.
    redirect: unlessDenied(outcome.redirect?.url ?? null),
    secondStep: unlessDenied(step ? { kind: step.kind, factors: step.factors } : null),
    metadata,
    transactionMetadata: outcome.transaction ?? {},
    cache: cache.entries(),
    ...reported,
  };
}

/** Returns the parameters of the authorization request of a login. */
function paramsOf({ application, api, organization, scope }: DryRunLogin) {
  return {
    client_id: application.client_id,
    scope,
    ...(api && { audience: api.identifier, resource: resourceOf(api.identifier) }),
    ...(organization && { organization: organization.id }),
  };
}

function eventOf(tenant: Tenant, login: DryRunLogin, params: object): PostLoginEvent {
  const { user, application, api, organization, scope } = login;
  const method = connectionInId(user.user_id) === undefined ? 'pwd' : 'federated';
  return toPostLoginEvent(tenant, {
    user,
    clientId: application.client_id,
    api,
    organization,
    protocol: 'oidc-basic-profile',
    scope,
    params: { ...params },
    stats: { logins_count: 1 },
    enrolledFactors: factorsOf(user),
    authentication: { methods: [{ name: method, timestamp: new Date().toISOString() }] },
    request: { ip: '127.0.0.1', method: 'GET', user_agent: 'dry-run', body: {} },
  });
}

/** Returns the claims without standard claims whose scope is not granted, and reports those. */
function grantedClaims(
  claims: Readonly<Record<string, unknown>>,
  granted: readonly string[],
  dropped: object[],
): Record<string, unknown> {
  const kept = Object.entries(claims).filter(([claim]) => {
    if (!isStandardClaim(claim)) return true;
    if (granted.some((scope) => SCOPE_CLAIMS[scope]?.includes(claim))) return true;
    dropped.push({ token: 'idToken', claim, reason: 'its scope is not granted' });
    return false;
  });
  return Object.fromEntries(kept);
}

function recordingLog() {
  const reported: { dropped: object[]; console: object[] } = { dropped: [], console: [] };
  const log: ActionLog = {
    info: (fields, message) => reported.console.push({ ...fields, line: message }),
    warn: (fields) => {
      // A failure is in the report as what denied the login.
      if (!('reason' in fields)) reported.dropped.push({ ...fields });
    },
  };
  return { log, reported };
}

/** Reads the arguments. @throws StartError naming the first wrong one, and what is right. */
export function readDryRunLogin(tenant: Tenant, args: string[]): DryRunLogin {
  const given = readArguments(args);
  if (given.user === undefined) throw wrongArgument(`give --user; ${USAGE}`);
  const users = tenant.users.map((entry) => entry.email);
  const email = given.user.toLowerCase();
  const user = tenant.users.find(
    (entry) => entry.email.toLowerCase() === email || entry.user_id === given.user,
  );
  if (user === undefined) throw unknownName('user', given.user, users);

  const applications = tenant.clients.filter(({ grant_types }) =>
    grant_types.includes('authorization_code'),
  );
  const clientIds = applications.map((entry) => entry.client_id);
  const clientId = given.client ?? clientIds[0] ?? '';
  const application = applications.find((entry) => entry.client_id === clientId);
  if (application === undefined) throw unknownName('client', clientId, clientIds);

  const identifiers = tenant.resourceServers.map((entry) => entry.identifier);
  const preset = tenant.tenant.default_audience || (given.audience ?? identifiers[0]);
  const audience = given.audience || preset;
  const api = findApi(tenant, audience);
  // An empty audience is a login without one, unless the tenant has a default.
  if (audience && api === undefined) throw unknownName('audience', audience, identifiers);
  const organization = organizationOf(tenant, { application, user, given: given.organization });
  const requestable = requestableScopes(application, api);
  const scope = (given.scope === undefined ? requestable : splitScope(given.scope))
    .filter((one) => one !== 'offline_access' || requestable.includes(one))
    .join(' ');
  return { user, application, api, organization, scope };
}

function organizationOf(
  tenant: Tenant,
  login: { application: Application; user: User; given: string | undefined },
): Organization | undefined {
  const { application, user, given } = login;
  const usage = application.organization_usage;
  if (given === undefined) {
    if (usage === 'require') throw wrongArgument(`${application.client_id} needs --organization`);
    return undefined;
  }
  if (usage === 'deny') throw wrongArgument(`${application.client_id} takes no --organization`);
  const organization = tenant.organizations.find(({ id, name }) => id === given || name === given);
  if (organization === undefined) {
    const ids = tenant.organizations.map(({ id }) => id);
    throw unknownName('organization', given, ids);
  }
  if (isMember(organization, user)) return organization;
  throw wrongArgument(`--organization is "${given}": ${user.email} is no member of it`);
}

function readArguments(args: string[]) {
  const text = { type: 'string' } as const;
  const options = { user: text, client: text, audience: text, scope: text, organization: text };
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    const [message] = (error as Error).message.split('\n');
    throw wrongArgument(`${message}; ${USAGE}`);
  }
}

function unknownName(option: string, value: string, known: readonly string[]): StartError {
  return wrongArgument(`--${option} is "${value}": give one of ${known.join(', ')}`);
}

function wrongArgument(message: string): StartError {
  return new StartError('wrong_argument', message);
}
