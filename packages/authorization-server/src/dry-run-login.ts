import { parseArgs } from 'node:util';
import { isMember } from './claims/organizations.ts';
import { StartError } from './errors.ts';
import {
  type Api,
  type Application,
  findApi,
  type Organization,
  type Tenant,
  type User,
} from './tenant/tenant.ts';
import { OIDC_SCOPES } from './token/audience.ts';

/** The login that a dry run is for. */
export interface DryRunLogin {
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

/** @throws StartError naming the first argument that is wrong, and what would be right. */
export function readDryRunLogin(tenant: Tenant, args: string[]): DryRunLogin {
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

  const organization = organizationOf(tenant, { application, user, given: given.organization });
  const ofApi = api?.scopes.map((entry) => entry.value) ?? [];
  const scopes = given.scope?.split(' ') ?? [...OIDC_SCOPES, ...ofApi];
  const offline =
    application.grant_types.includes('refresh_token') && (api?.allow_offline_access ?? true);
  const scope = scopes.filter((one) => one !== 'offline_access' || offline).join(' ');
  return { user, application, api, organization, scope };
}

function organizationOf(
  tenant: Tenant,
  login: { application: Application; user: User; given: string | undefined },
): Organization | undefined {
  const { application, user, given } = login;
  const usage = application.organization_usage;
  if (given === undefined) {
    if (usage === 'require') throw wrong(`${application.client_id} needs --organization`);
    return undefined;
  }
  if (usage === 'deny') throw wrong(`${application.client_id} takes no --organization`);
  const organization = tenant.organizations.find(({ id, name }) => id === given || name === given);
  if (organization === undefined) {
    const ids = tenant.organizations.map(({ id }) => id);
    throw unknown('organization', given, ids);
  }
  if (isMember(organization, user)) return organization;
  throw wrong(`--organization is "${given}": ${user.email} is no member of it`);
}

function readArguments(args: string[]) {
  const option = { type: 'string' } as const;
  const options = {
    user: option,
    client: option,
    audience: option,
    scope: option,
    organization: option,
  };
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
