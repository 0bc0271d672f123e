import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StartError } from '@koa-oauth/service';
import { type Document, isNode, LineCounter, parseDocument } from 'yaml';
import { checkNames, checkReferences, type Path, type Report, type Trigger } from './checks.ts';
import { ignoredConnections } from './connections.ts';
import { tenantSchema } from './schema.ts';
import { type ActionConsole, compileAction, compileRule } from './source-files.ts';
import type { Action, Rule, Tenant, TenantDocument } from './tenant.ts';

/** Error for a tenant file that can't be used. The message names every fault with its line and path. */
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
  const throwIfFaulty = (): void => {
    const inOrder = faults.sort((a, b) => a.line - b.line).map(({ fault }) => fault);
    if (inOrder.length > 0) throw new InvalidTenant(path, inOrder);
  };

  const checked = tenantSchema.safeParse(document.toJS());
  for (const issue of checked.error?.issues ?? []) report(issue.path, issue.message);
  throwIfFaulty();

  const tenant = checked.data as TenantDocument;
  checkNames(tenant, report);
  checkReferences(tenant, report);
  const actions = readActions(tenant, dirname(path), report);
  const loginRules = readRules(tenant, dirname(path), report);
  throwIfFaulty();

  const actionsOf = (trigger: Trigger): Action[] =>
    tenant.triggers[trigger].flatMap(
      ({ action_name }) => actions.find((action) => action.name === action_name) ?? [],
    );
  return {
    ...tenant,
    file: path,
    postLogin: actionsOf('post-login'),
    credentialsExchange: actionsOf('credentials-exchange'),
    loginRules,
    ignoredSections: [
      ...Object.keys(tenant).filter((section) => !(section in tenantSchema.shape)),
      ...ignoredConnections(tenant),
    ],
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
  const faults = document.errors.map((error) => error.message.split('\n')[0] ?? 'not YAML');
  if (faults.length > 0) throw new InvalidTenant(path, faults);
  return document;
}

/** Returns the line of the node at `path`, or of the nearest one above it that exists. */
function lineOf(document: Document, lines: LineCounter, path: Path): number {
  for (let length = path.length; length >= 0; length -= 1) {
    const node: unknown =
      length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

function readActions(tenant: TenantDocument, directory: string, report: Report): Action[] {
  return tenant.actions.flatMap(({ name, code: script, secrets: list, ...action }, index) => {
    const file = resolve(directory, script);
    const secrets = Object.fromEntries(list.map((secret) => [secret.name, secret.value]));
    const dependencies = Object.fromEntries(
      action.dependencies.map((module) => [module.name, module.version]),
    );
    try {
      const code = readFileSync(file, 'utf8');
      const source = { name, file, code, secrets, dependencies, folder: directory };
      compileAction(source);
      return [source];
    } catch (error) {
      report(['actions', index, 'code'], faultOfFile(file, error));
      return [];
    }
  });
}

/** Returns the enabled rules in their order; a rule without an order comes first, as 0. */
function readRules(tenant: TenantDocument, directory: string, report: Report): Rule[] {
  const configuration = Object.fromEntries(
    tenant.rulesConfigs.map(({ key, value }) => [key, value]),
  );
  const rules = tenant.rules.flatMap(({ name, script, order, enabled }, index) => {
    const file = resolve(directory, script);
    try {
      const code = readFileSync(file, 'utf8');
      const rule: Rule = { name, file, code, configuration, folder: directory };
      compileRule(rule)(SILENT);
      return enabled ? [{ order, rule }] : [];
    } catch (error) {
      report(['rules', index, 'script'], faultOfFile(file, error));
      return [];
    }
  });
  return rules.sort((a, b) => a.order - b.order).map(({ rule }) => rule);
}

function faultOfFile(file: string, error: unknown): string {
  const { code, message, stack } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return `the file ${file} is not there`;
  // The stack of a syntax error begins with the place.
  const line = stack?.startsWith(`${file}:`) && /^\d+/.exec(stack.slice(file.length + 1))?.[0];
  return `the file ${file}${line ? `, line ${line},` : ''} can't be used: ${message}`;
}

const noop = (): void => {};
const SILENT: ActionConsole = { debug: noop, error: noop, info: noop, log: noop, warn: noop };
