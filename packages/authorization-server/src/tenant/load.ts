import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StartError } from '@koa-oauth/service';
import { z } from 'zod';
import { readOptions, strict } from '../options.ts';
import { completeApplication } from './applications.ts';
import {
  checkNames,
  checkReferences,
  clientsNamed,
  isServedGrant,
  type Report,
  type Reports,
  withServedAddresses,
} from './checks.ts';
import type { Keywords } from './keywords.ts';
import { type Application, tenantSchema } from './schema.ts';
import {
  ignoredSettings,
  removeSettingsWithoutValue,
  reportSurvey,
  surveyTenant,
} from './served-settings.ts';
import { readActions, readRules } from './source-files.ts';
import {
  type Action,
  type CompletedApplication,
  scopesOf,
  type Tenant,
  type TenantDocument,
  type Trigger,
} from './tenant.ts';
import { type Path, type Place, TenantFiles, UnreadableFile } from './tenant-files.ts';

/** Error for a tenant that can't be used. The message names every fault with its file, line and path. */
export class InvalidTenant extends StartError {
  override readonly name = 'InvalidTenant';
  readonly faults: readonly string[];

  constructor(file: string, faults: readonly string[]) {
    super(
      'invalid_tenant',
      [`the tenant file ${file} is wrong:`, ...faults.map((fault) => `  - ${fault}`)].join('\n'),
    );
    this.faults = faults;
  }
}

/** Path of the tenant file that comes with this package. */
export const demoTenantFile = fileURLToPath(new URL('../../tenant/tenant.yaml', import.meta.url));

/** Options of `loadTenant`. */
export interface LoadOptions {
  /** Values of the deploy tool's keywords by name, such as environment variables; default: none. */
  readonly keywords?: Keywords | undefined;
}

const loadOptionsSchema = strict({ keywords: z.record(z.string(), z.unknown()).optional() });

/**
 * Reads and checks a tenant.
 *
 * @param file Path of a YAML file, or of a folder that the Auth0 deploy tool wrote, relative to the
 * working directory.
 * @throws InvalidTenant naming every fault with its file, line and path.
 */
export function loadTenant(file: string, options: LoadOptions = {}): Tenant {
  const { keywords = {} } = readOptions(loadOptionsSchema, options);
  const path = resolve(file);
  const files = readFiles(path, keywords);
  const log = new LoadLog(path, files);

  removeSettingsWithoutValue(files, log);
  const content = withoutAbsent(files.content);
  const { parsed, survey } = parseContent(content, log);
  const { databases, ...document } = parsed;
  const tenant = {
    ...document,
    databases,
    connections: [...document.connections, ...databases],
    clients: document.clients.map((client, index) =>
      withServedAddresses(completeApplication(client), index, log.notice),
    ),
  };
  log.connections = document.connections.length;
  checkNames(tenant, log.fault);
  checkReferences(tenant, log);
  const actions = readActions(tenant, files, log);
  const loginRules = readRules(tenant, files, log);
  log.throwIfFaulty();

  return {
    ...tenant,
    clientGrants: servedGrants(tenant),
    attack_protection: tenant.attackProtection
      ? { brute_force_protection: tenant.attackProtection.bruteForceProtection }
      : tenant.attack_protection,
    file: path,
    watched: [...files.watched],
    reload: () => loadTenant(path, { keywords }),
    postLogin: boundActions(tenant, 'post-login', actions),
    credentialsExchange: boundActions(tenant, 'credentials-exchange', actions),
    loginRules,
    completed: completedApplications(tenant, content),
    ignored: ignoredSettings(tenant, survey, files.unknown),
    notices: log.notices,
  };
}

/** Parses the content, and surveys it. @throws InvalidTenant */
function parseContent(content: Record<string, unknown>, log: LoadLog) {
  // It parses once: compiling the schema would take longer than that.
  const checked = tenantSchema.safeParse(content, { jitless: true });
  const survey = surveyTenant(content);
  reportSurvey(content, survey, checked.error?.issues ?? [], log);
  log.throwIfFaulty();
  return { parsed: checked.data as TenantDocument, survey };
}

/** Returns the Actions that are bound to a trigger, in their order. */
function boundActions(
  { triggers }: TenantDocument,
  trigger: Trigger,
  actions: readonly Action[],
): Action[] {
  return triggers[trigger].flatMap(
    ({ action_name }) => actions.find((action) => action.name === action_name) ?? [],
  );
}

/** Collects faults, which stop the start, and notices, each with its place. */
class LoadLog implements Reports {
  /** Number of entries in the section `connections`; the databases follow them. */
  connections = Number.POSITIVE_INFINITY;
  readonly #path: string;
  readonly #files: TenantFiles;
  readonly #faults: Place[] = [];
  readonly #notices: Place[] = [];

  constructor(path: string, files: TenantFiles) {
    this.#path = path;
    this.#files = files;
  }

  readonly fault: Report = (at, text) => this.#add(this.#faults, at, text);
  readonly notice: Report = (at, text) => this.#add(this.#notices, at, text);

  get notices(): string[] {
    return inOrder(this.#notices);
  }

  throwIfFaulty(): void {
    if (this.#faults.length > 0) throw new InvalidTenant(this.#path, inOrder(this.#faults));
  }

  #add(list: Place[], at: Path, text: string): void {
    const [section, index = 0, ...rest] = at;
    const isDatabase = section === 'connections' && Number(index) >= this.connections;
    const path = isDatabase ? ['databases', Number(index) - this.connections, ...rest] : at;
    const place = this.#files.placeOf(path);
    list.push({ ...place, text: `${place.text}: ${text}` });
  }
}

function inOrder(places: readonly Place[]): string[] {
  return [...places].sort((a, b) => a.order - b.order).map(({ text }) => text);
}

function readFiles(path: string, keywords: Keywords): TenantFiles {
  try {
    return new TenantFiles(path, keywords);
  } catch (error) {
    if (!(error instanceof UnreadableFile)) throw error;
    throw new InvalidTenant(path, error.message.split('\n'));
  }
}

/** Value of a secret in an export. */
const NOT_SHOWN = '_VALUE_NOT_SHOWN_';

/** Returns the content without members that an export has instead of leaving them out. */
function withoutAbsent({ users, ...content }: Record<string, unknown>): Record<string, unknown> {
  const { databases } = content;
  if (Array.isArray(databases)) {
    content.databases = databases.map((database) => ({ strategy: 'auth0', ...database }));
  }
  // Null is a value in the metadata of a user.
  return { ...(dropAbsent(content) as object), ...(users !== undefined && { users }) };
}

function dropAbsent(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(dropAbsent);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== null && member !== NOT_SHOWN)
      .map(([name, member]) => [name, dropAbsent(member)]),
  );
}

/** Returns the grants for client credentials, with the client's id and all their scopes. */
function servedGrants(tenant: TenantDocument): TenantDocument['clientGrants'] {
  return tenant.clientGrants
    .filter((grant) => isServedGrant(tenant, grant))
    .map((grant) => {
      const api = tenant.resourceServers.find(({ identifier }) => identifier === grant.audience);
      return {
        ...grant,
        client_id: clientsNamed(tenant, grant.client_id)[0]?.client_id,
        scope: grant.allow_all_scopes ? scopesOf(api) : grant.scope,
      };
    });
}

/** Returns the applications whose id or secret is not in the file. */
function completedApplications(
  { clients }: TenantDocument,
  content: Record<string, unknown>,
): CompletedApplication[] {
  return clients.flatMap(({ name, client_id, client_secret }, index) => {
    const { client_id: id, client_secret: secret } =
      (content.clients as Partial<Application>[])[index] ?? {};
    if (id !== undefined && secret === client_secret) return [];
    return [{ name, client_id, ...(secret === undefined && { client_secret }) }];
  });
}
