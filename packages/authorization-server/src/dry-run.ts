import { parseArgs } from 'node:util';
import type { ActionLog } from './action-run.ts';
import { runPostLogin } from './actions.ts';
import { OIDC_SCOPES, resourceOf } from './audience.ts';
import { isStandardClaim, SCOPE_CLAIMS } from './custom-claims.ts';
import { StartError } from './errors.ts';
import { askedScopes, scopeFault } from './grants.ts';
import { toPostLoginEvent } from './login-event.ts';
import { runRules } from './rules.ts';
import { changeScope } from './scope-changes.ts';
import { type Api, type Application, findApi, type Tenant, type User } from './tenant.ts';
import { demoTenantFile, loadTenant } from './tenant-file.ts';

/*
 * A program: shows as JSON what the tenant's rules and post-login Actions would do for one login.
 * Exit code 0 for a login that goes through; 1 for one that is denied, and for a wrong name.
 */

interface Login {
  readonly user: User;
  readonly application: Application;
  /** Undefined without an audience. */
  readonly api: Api | undefined;
  readonly scope: string;
}

interface Reported {
  readonly dropped: object[];
  readonly console: object[];
}

const USAGE =
  'usage: dry-run --user E-MAIL [--client CLIENT_ID] [--audience IDENTIFIER] [--scope "A B"]';

try {
  const tenant = loadTenant(process.env.TENANT?.trim() || demoTenantFile);
  const report = await dryRun(tenant, readLogin(tenant, process.argv.slice(2)));
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  process.exitCode = report.denied === null ? 0 : 1;
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

async function dryRun(tenant: Tenant, { user, application, api, scope }: Login) {
  const { log, reported } = recordingLog();
  const params = {
    client_id: application.client_id,
    scope,
    ...(api && { audience: api.identifier, resource: resourceOf(api.identifier) }),
  };
  const event = toPostLoginEvent(tenant, {
    user,
    clientId: application.client_id,
    api,
    protocol: 'oidc-basic-profile',
    scope,
    params,
    loginsCount: 1,
    methods: [{ name: 'pwd', timestamp: new Date().toISOString() }],
    request: { ip: '127.0.0.1', method: 'GET', user_agent: 'dry-run', body: {} },
  });
  const afterRules = await runRules(tenant.loginRules, event, log);
  const outcome = await runPostLogin(tenant.postLogin, event, log, { afterRules });
  const asked = askedScopes(tenant, user.user_id, params);
  const granted = [...(asked?.oidc ?? []), ...(asked?.allowed ?? [])];
  const idToken = Object.entries(outcome.idToken).filter(([claim]) => {
    const kept =
      !isStandardClaim(claim) || granted.some((one) => SCOPE_CLAIMS[one]?.includes(claim));
    if (!kept)
      reported.dropped.push({ token: 'idToken', claim, reason: 'its scope is not granted' });
    return kept;
  });
  const fault = asked && scopeFault(asked);
  const denied = user.blocked ? 'the user is blocked' : (outcome.denied ?? fault ?? null);
  return {
    user: user.user_id,
    client: application.client_id,
    audience: api?.identifier ?? null,
    denied,
    scope: denied === null ? (changeScope(granted.join(' '), outcome.scope) ?? '') : null,
    // A token without an audience is opaque: it has no claims.
    accessToken: denied === null && api !== undefined ? outcome.accessToken : null,
    idToken: denied === null ? Object.fromEntries(idToken) : null,
    ...reported,
  };
}

function recordingLog(): { log: ActionLog; reported: Reported } {
  const reported: Reported = { dropped: [], console: [] };
  const log: ActionLog = {
    info: (fields, message) => reported.console.push({ ...fields, line: message }),
    warn: (fields) => {
      // A failure is in the report as what denied the login.
      if (!('reason' in fields)) reported.dropped.push({ ...fields });
    },
  };
  return { log, reported };
}

/** @throws StartError naming the first argument that is wrong, and what would be right. */
function readLogin(tenant: Tenant, args: string[]): Login {
  const given = readArguments(args);
  if (given.user === undefined) throw wrong(`give --user; ${USAGE}`);
  const users = tenant.users.map((entry) => entry.email);
  const email = given.user.toLowerCase();
  const user = tenant.users.find(
    (entry) => entry.email.toLowerCase() === email || entry.user_id === given.user,
  );
  if (user === undefined) throw unknown('user', given.user, users);

  const applications = tenant.clients.filter(({ grant_types }) =>
    grant_types.includes('authorization_code'),
  );
  const clientIds = applications.map((entry) => entry.client_id);
  const clientId = given.client ?? clientIds[0] ?? '';
  const application = applications.find((entry) => entry.client_id === clientId);
  if (application === undefined) throw unknown('client', clientId, clientIds);

  const identifiers = tenant.resourceServers.map((entry) => entry.identifier);
  const audience = given.audience ?? identifiers[0];
  const api = audience === undefined ? undefined : findApi(tenant, audience);
  // An empty audience is a login without one.
  if (audience && api === undefined) throw unknown('audience', audience, identifiers);

  const ofApi = api?.scopes.map((entry) => entry.value) ?? [];
  const scopes = given.scope?.split(' ') ?? [...OIDC_SCOPES, ...ofApi];
  const offline =
    application.grant_types.includes('refresh_token') && (api?.allow_offline_access ?? true);
  const scope = scopes.filter((one) => one !== 'offline_access' || offline).join(' ');
  return { user, application, api, scope };
}

function readArguments(args: string[]) {
  const option = { type: 'string' } as const;
  const options = { user: option, client: option, audience: option, scope: option };
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    const [message] = (error as Error).message.split('\n');
    throw wrong(`${message}; ${USAGE}`);
  }
}

function unknown(option: string, value: string, known: readonly string[]): StartError {
  return wrong(`--${option} is "${value}": give one of ${known.join(', ')}`);
}

function wrong(message: string): StartError {
  return new StartError('wrong_argument', message);
}
