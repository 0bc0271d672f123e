import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Document, isNode, LineCounter, parseDocument } from 'yaml';
import { compileAction } from './action-file.ts';
import { InvalidTenant } from './errors.ts';
import { type Action, type Tenant, type TenantDocument, tenantSchema } from './tenant.ts';

/** The tenant that comes with this package. */
export const demoTenantFile = fileURLToPath(new URL('../tenant/tenant.yaml', import.meta.url));

type Path = readonly PropertyKey[];
type Report = (path: Path, fault: string) => void;

/**
 * Reads and checks a tenant file.
 *
 * @param file Path of a YAML file, relative to the working directory.
 * @throws InvalidTenant naming every fault with its line and its path in the file.
 */
export function loadTenant(file: string): Tenant {
  const path = resolve(file);
  const lines = new LineCounter();
  const document = parse(path, lines);

  const faults: { line: number; fault: string }[] = [];
  const report: Report = (at, fault) => {
    const line = lineOf(document, lines, at);
    faults.push({ line, fault: `line ${line}, ${at.map(String).join('.') || 'top'}: ${fault}` });
  };
  const complete = (): void => {
    if (faults.length === 0) return;
    faults.sort((a, b) => a.line - b.line);
    throw new InvalidTenant(
      path,
      faults.map(({ fault }) => fault),
    );
  };

  const content: unknown = document.toJS();
  const checked = tenantSchema.safeParse(content);
  for (const issue of checked.error?.issues ?? []) report(issue.path, issue.message);
  complete();

  const tenant = tenantSchema.parse(content);
  checkNames(tenant, report);
  checkReferences(tenant, report);
  const actions = readActions(tenant, dirname(path), report);
  complete();

  return {
    ...tenant,
    file: path,
    postLogin: tenant.triggers['post-login'].flatMap(
      ({ action_name }) => actions.find((action) => action.name === action_name) ?? [],
    ),
    ignoredSections: Object.keys(tenant).filter((section) => !(section in tenantSchema.shape)),
  };
}

function parse(path: string, lines: LineCounter): Document {
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new InvalidTenant(path, [`it can't be read (${code}): set TENANT to a YAML file`]);
  }
  const document = parseDocument(source, { lineCounter: lines });
  if (document.errors.length > 0) {
    throw new InvalidTenant(
      path,
      document.errors.map((error) => error.message.split('\n')[0] ?? 'not YAML'),
    );
  }
  return document;
}

/** The line of the node at `path`, or of the nearest one above it that exists. */
function lineOf(document: Document, lines: LineCounter, path: Path): number {
  for (let length = path.length; length >= 0; length -= 1) {
    const node: unknown =
      length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

function checkNames(tenant: TenantDocument, report: Report): void {
  const unique = (section: string, key: string, values: readonly string[]): void => {
    values.forEach((value, index) => {
      if (values.indexOf(value) < index) report([section, index, key], `"${value}" is there twice`);
    });
  };
  unique(
    'clients',
    'client_id',
    tenant.clients.map((client) => client.client_id),
  );
  unique(
    'resourceServers',
    'identifier',
    tenant.resourceServers.map((api) => api.identifier),
  );
  unique(
    'users',
    'user_id',
    tenant.users.map((user) => user.user_id),
  );
  unique(
    'users',
    'email',
    tenant.users.map((user) => user.email),
  );
  tenant.clients.forEach((client, index) => {
    if (client.client_secret === undefined && client.token_endpoint_auth_method !== 'none') {
      report(
        ['clients', index],
        'give a client_secret, or token_endpoint_auth_method: none for a public client',
      );
    }
    if (client.grant_types.includes('authorization_code') && client.callbacks.length === 0) {
      report(['clients', index], 'the authorization_code grant needs at least one of callbacks');
    }
  });
}

function checkReferences(tenant: TenantDocument, report: Report): void {
  const scopesOf = new Map(
    tenant.resourceServers.map((api) => [api.identifier, api.scopes.map((scope) => scope.value)]),
  );
  const checkScope = (path: Path, identifier: string, scope: string): void => {
    const scopes = scopesOf.get(identifier);
    if (scopes === undefined) report(path, `no API has the identifier "${identifier}"`);
    else if (!scopes.includes(scope)) report(path, `the API has no scope "${scope}"`);
  };

  tenant.roles.forEach((role, r) => {
    role.permissions.forEach((permission, p) => {
      const { permission_name: scope, resource_server_identifier: identifier } = permission;
      checkScope(['roles', r, 'permissions', p], identifier, scope);
    });
  });
  tenant.clientGrants.forEach((grant, g) => {
    if (!tenant.clients.some((client) => client.client_id === grant.client_id)) {
      report(['clientGrants', g, 'client_id'], `no client has the id "${grant.client_id}"`);
    }
    grant.scope.forEach((scope, s) => {
      checkScope(['clientGrants', g, 'scope', s], grant.audience, scope);
    });
  });
  tenant.users.forEach((user, u) => {
    user.roles.forEach((name, r) => {
      if (tenant.roles.some((role) => role.name === name)) return;
      report(['users', u, 'roles', r], `no role has the name "${name}"`);
    });
  });
  tenant.triggers['post-login'].forEach(({ action_name: name }, a) => {
    if (tenant.actions.some((action) => action.name === name)) return;
    report(['triggers', 'post-login', a, 'action_name'], `no action has the name "${name}"`);
  });
}

function readActions(tenant: TenantDocument, directory: string, report: Report): Action[] {
  return tenant.actions.flatMap((entry, index): Action[] => {
    const file = resolve(directory, entry.code);
    const secrets = Object.fromEntries(entry.secrets.map(({ name, value }) => [name, value]));
    try {
      const action = { name: entry.name, file, code: readFileSync(file, 'utf8'), secrets };
      compileAction(action);
      return [action];
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const fault = code === 'ENOENT' ? 'is not there' : `can't be used: ${message}`;
      report(['actions', index, 'code'], `the file ${file} ${fault}`);
      return [];
    }
  });
}
