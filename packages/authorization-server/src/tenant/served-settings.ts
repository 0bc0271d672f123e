import type { core } from 'zod';
import { isServedGrantType, unservedMethod } from './applications.ts';
import { isApiOfAuth0, isServedGrant, type Reports } from './checks.ts';
import { oidcOptionsSchema } from './connection-schema.ts';
import { ignoredConnection } from './connections.ts';
import { keywordIn } from './keywords.ts';
import { type TenantDocument, tenantSchema } from './schema.ts';
import { accessTokenSignature, idTokenSignature } from './tenant.ts';
import type { Path, TenantFiles } from './tenant-files.ts';

/*
 * Finds two kinds of settings in an export: those that this server ignores, because the schema does not name
 * them, and those whose keyword has no value.
 */

type Content = Readonly<Record<string, unknown>>;

/** Parts of a tenant that the schema does not name, or that have no value. */
interface Survey {
  /** Settings that the schema does not name. `absent` has the known names that the same entry does not use. */
  readonly unknown: { readonly path: Path; readonly value: unknown; readonly absent: string[] }[];
  /** Texts of known settings in which a keyword without a value is left. */
  readonly left: { readonly path: Path; readonly keyword: string }[];
}

export function surveyTenant(content: Content): Survey {
  const survey: Survey = { unknown: [], left: [] };
  walk(tenantSchema, content, [], survey);
  return survey;
}

/** Walks through a value along its schema. */
function walk(schema: core.$ZodType, value: unknown, path: Path, survey: Survey): void {
  const { def } = schema._zod as { readonly def: SchemaDefinition };
  if (typeof value === 'string') {
    const keyword = keywordIn(value);
    if (keyword !== undefined) survey.left.push({ path, keyword });
  } else if (typeof value !== 'object' || value === null) return;
  else if (def.innerType !== undefined) walk(def.innerType, value, path, survey);
  else if (def.in !== undefined) walk(def.in, value, path, survey);
  else if (Array.isArray(value)) {
    for (const [index, entry] of value.entries()) {
      if (def.element !== undefined) walk(def.element, entry, [...path, index], survey);
    }
  } else {
    // A choice between a text and an object has the object's names.
    const { shape } =
      [def, ...(def.options ?? []).map(definitionIn)].find((one) => one.shape) ?? {};
    for (const [key, member] of Object.entries(value)) {
      const known = shape && Object.hasOwn(shape, key) ? shape[key] : def.valueType;
      if (known !== undefined) walk(known, member, [...path, key], survey);
      else if (shape !== undefined) {
        const absent = Object.keys(shape).filter((name) => !Object.hasOwn(value, name));
        survey.unknown.push({ path: [...path, key], value: member, absent });
      }
    }
  }
}

/** Members of the definitions of zod's types that lead to other types. */
interface SchemaDefinition {
  readonly innerType?: core.$ZodType;
  readonly in?: core.$ZodType;
  readonly element?: core.$ZodType;
  readonly options?: readonly core.$ZodType[];
  readonly shape?: Readonly<Record<string, core.$ZodType>>;
  readonly valueType?: core.$ZodType;
}

function definitionIn(schema: core.$ZodType): SchemaDefinition {
  const def = schema._zod.def as SchemaDefinition;
  return def.in === undefined ? def : definitionIn(def.in);
}

/** Returns what is ignored: one text for each section, such as "clients: oidc_conformant, sso". */
export function ignoredSettings(
  tenant: TenantDocument,
  { unknown }: Survey,
  unknownFiles: readonly string[],
): string[] {
  const ignored = new IgnoredSettings();
  const covered = addConnections(ignored, tenant);
  for (const { path, value } of unknown) {
    const [section = '', ...names] = path.filter((key) => typeof key === 'string');
    // Actions get all fields of a user.
    const isServed = section === 'users' || covered.has(path.slice(0, 2).join('.'));
    if (!isServed && !isEmpty(value)) ignored.add(section, names.join('.'));
  }
  addValues(ignored, tenant);
  for (const name of unknownFiles) ignored.add(name);
  return ignored.list();
}

/** Adds connections that are ignored, and returns their paths. Adds the ignored options of the others. */
function addConnections(ignored: IgnoredSettings, tenant: TenantDocument): Set<string> {
  const covered = new Set<string>();
  const offset = tenant.connections.length - tenant.databases.length;
  for (const [index, connection] of tenant.connections.entries()) {
    const isDatabase = index >= offset;
    const section = isDatabase ? 'databases' : 'connections';
    const name = ignoredConnection(tenant, connection);
    if (name !== undefined) {
      ignored.add(section, name);
      covered.add(`${section}.${isDatabase ? index - offset : index}`);
      continue;
    }
    const known = connection.strategy === 'oidc' ? Object.keys(oidcOptionsSchema.shape) : [];
    for (const option of Object.keys(connection.options)) {
      if (!known.includes(option)) ignored.add(section, `options.${option}`);
    }
  }
  return covered;
}

const APP_TYPES = ['regular_web', 'spa', 'native', 'non_interactive', 'resource_server'];

/** Adds values of known settings that are not served. */
function addValues(ignored: IgnoredSettings, tenant: TenantDocument): void {
  for (const client of tenant.clients) {
    const { app_type, grant_types } = client;
    if (!APP_TYPES.includes(app_type)) ignored.add('clients', `app_type ${app_type}`);
    for (const type of grant_types.filter((one) => !isServedGrantType(client, one))) {
      ignored.add('clients', `grant_types ${type}`);
    }
    const method = unservedMethod(client);
    if (method !== undefined) ignored.add('clients', `token_endpoint_auth_method ${method}`);
    if (idTokenSignature(client) === undefined) {
      ignored.add('clients', `jwt_configuration.alg ${client.jwt_configuration?.alg}`);
    }
  }
  for (const api of tenant.resourceServers) {
    if (api.proof_of_possession?.mechanism === 'mtls') {
      ignored.add('resourceServers', 'proof_of_possession mtls');
    }
    if (accessTokenSignature(api) !== undefined) continue;
    ignored.add('resourceServers', `signing_alg ${api.signing_alg}`);
  }
  for (const grant of tenant.clientGrants.filter((one) => !isServedGrant(tenant, one))) {
    const { client_id, audience, subject_type } = grant;
    if (isApiOfAuth0(tenant, audience)) ignored.add('clientGrants', `audience ${audience}`);
    else if (client_id === undefined) ignored.add('clientGrants', 'default_for');
    else ignored.add('clientGrants', `subject_type ${subject_type}`);
  }
  for (const { resource_server_identifier: api } of tenant.roles.flatMap((r) => r.permissions)) {
    if (isApiOfAuth0(tenant, api)) ignored.add('roles', `permissions of ${api}`);
  }
}

/** Collects ignored settings by section. A setting that several entries have is listed once. */
class IgnoredSettings {
  readonly #bySection = new Map<string, Set<string>>();

  add(section: string, setting = ''): void {
    const settings = this.#bySection.get(section) ?? new Set();
    this.#bySection.set(section, settings.add(setting));
  }

  list(): string[] {
    const sections = [...this.#bySection].map(([section, settings]) => {
      const names = [...settings].filter((name) => name !== '').sort();
      return names.length === 0 ? section : `${section}: ${names.join(', ')}`;
    });
    return sections.sort();
  }
}

/** Settings that can be missing. An API without a secret for HS256 gets no tokens. */
const OPTIONAL_SETTINGS: Readonly<Record<string, readonly string[]>> = {
  clients: ['callbacks', 'allowed_logout_urls', 'allowed_origins', 'web_origins'],
  connections: ['enabled_clients'],
  databases: ['enabled_clients'],
  resourceServers: ['signing_secret'],
};

/** Removes optional settings, and entries of lists, whose keyword has no value. */
export function removeSettingsWithoutValue(files: TenantFiles, log: Reports): void {
  const leaveOut = (path: Path, value: unknown): void => {
    const keyword = keywordIn(value);
    if (keyword === undefined) return;
    log.notice(path, `${noValue(keyword)}: it is left out`);
    files.remove(path);
  };
  const leaveOutOf = (entry: unknown, at: Path, names: readonly string[]): void => {
    for (const name of names) {
      const list = (entry as Record<string, unknown> | null)?.[name];
      if (!Array.isArray(list)) leaveOut([...at, name], list);
      // From the end, because a removal changes the later indexes.
      else for (let i = list.length - 1; i >= 0; i -= 1) leaveOut([...at, name, i], list[i]);
    }
  };
  leaveOutOf(files.content.tenant, ['tenant'], ['allowed_logout_urls']);
  for (const [section, names] of Object.entries(OPTIONAL_SETTINGS)) {
    const entries = files.content[section];
    if (!Array.isArray(entries)) continue;
    for (const [index, entry] of entries.entries()) leaveOutOf(entry, [section, index], names);
  }
}

const noValue = (keyword: string): string => `the keyword ${keyword} has no value`;

/** Settings that authenticate someone. A keyword that is left there would be a secret that everyone knows. */
const SECRETS = ['client_secret', 'password', 'password_hash', 'pem'];

/** Reports faults that the schema found, misspelled names, and the effect of keywords without a value. */
export function reportSurvey(
  content: Content,
  { left, unknown }: Survey,
  issues: readonly core.$ZodIssue[],
  log: Reports,
): void {
  const isAt = (path: Path) => (other: { readonly path: Path }) => samePath(path, other.path);
  for (const issue of issues) {
    if (!left.some(isAt(issue.path))) log.fault(issue.path, issue.message);
  }
  for (const { path, absent } of unknown) {
    const known = absent.find((name) => differsInOneLetter(String(path.at(-1)), name));
    if (known !== undefined) log.fault(path, `this setting is unknown: write ${known}`);
  }
  for (const { path, keyword } of left) {
    const [section, index, ...names] = path;
    const name = String(names.at(-1));
    // `readActions` and `readRules` report these.
    if ((section === 'actions' || section === 'rulesConfigs') && name === 'value') continue;
    const isOption = names[0] === 'options';
    if (isOption && strategyOf(content, section, index) !== 'oidc') continue;
    if (isOption) log.notice(path, `${noValue(keyword)}: the connection is ignored`);
    else if (SECRETS.includes(name) || issues.some(isAt(path))) {
      const help = 'set it in the environment or in AUTH0_KEYWORD_REPLACE_MAPPINGS';
      log.fault(path, `${noValue(keyword)}: ${help}`);
    } else log.notice(path, `${noValue(keyword)}: the text stays as it is`);
  }
}

function strategyOf(content: object, section: unknown, index: unknown): unknown {
  const entries = (content as Record<string, Record<number, { strategy?: unknown }>>)[
    String(section)
  ];
  return entries?.[Number(index)]?.strategy;
}

function samePath(one: Path, other: Path): boolean {
  return one.length === other.length && one.every((key, index) => key === other[index]);
}

function differsInOneLetter(one: string, other: string): boolean {
  if (Math.abs(one.length - other.length) > 1) return false;
  const [short, long] = one.length <= other.length ? [one, other] : [other, one];
  const at = [...long].findIndex((letter, index) => letter !== short[index]);
  const rest = long.slice(at + 1);
  return rest === short.slice(at + (short.length === long.length ? 1 : 0));
}

function isEmpty(value: unknown): boolean {
  return (
    value === null || value === '' || (typeof value === 'object' && Object.keys(value).length === 0)
  );
}
