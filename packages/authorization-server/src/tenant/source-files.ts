import { dirname } from 'node:path';
import { compileFunction } from 'node:vm';
import type { Reports } from './checks.ts';
import { keywordIn } from './keywords.ts';
import { requireOf } from './modules.ts';
import type { Action, Rule, TenantDocument } from './tenant.ts';
import type { Path, TenantFiles } from './tenant-files.ts';

/** An Action's `console`, whose lines must not break the log's JSON. */
export type ActionConsole = Record<
  'debug' | 'error' | 'info' | 'log' | 'warn',
  (...parts: unknown[]) => void
>;

type Handler = (event: unknown, api: unknown) => unknown;

/** The functions an Action file may export, as Auth0 names them. */
export interface ActionExports {
  onExecutePostLogin?: Handler;
  /** Runs when the user comes back from where the Action sent them. */
  onContinuePostLogin?: Handler;
  onExecuteCredentialsExchange?: Handler;
}

type Compiled = ReturnType<typeof compileFunction>;

/** Compiled files. Compiling takes longer than most runs, and each file runs at every login. */
const compiledFiles = new WeakMap<Action | Rule, Compiled>();

function compileOnce(source: Action | Rule, compile: () => Compiled): Compiled {
  const compiled = compiledFiles.get(source) ?? compile();
  compiledFiles.set(source, compiled);
  return compiled;
}

/**
 * Compiles an Action, which is CommonJS whatever the type of the package around it. Each call of the
 * result runs the file again and returns its exports. @throws SyntaxError
 */
export function compileAction(action: Action): (output: ActionConsole) => ActionExports {
  const parameters = ['exports', 'require', 'module', '__filename', '__dirname', 'console'];
  const run = compileOnce(action, () =>
    compileFunction(action.code, parameters, { filename: action.file }),
  );
  return (output) => {
    const module: { exports: ActionExports } = { exports: {} };
    const require = requireOf(action, output.warn);
    run(module.exports, require, module, action.file, dirname(action.file), output);
    return module.exports;
  };
}

type RuleFunction = (
  user: unknown,
  context: unknown,
  callback: (error?: unknown, user?: unknown, context?: unknown) => void,
) => unknown;

/** Error by which a rule denies a login; a global of every rule. */
class UnauthorizedError extends Error {
  override readonly name = 'UnauthorizedError';
}

const BEFORE = 'const rule = ';

/** Compiles a rule, a file that is one function, with CommonJS around it. @throws SyntaxError */
export function compileRule(rule: Rule): (output: ActionConsole, auth0?: object) => RuleFunction {
  const parameters = ['require', 'console', 'configuration', 'UnauthorizedError', 'auth0'];
  const make = compileOnce(rule, () =>
    compileFunction(`${BEFORE}${rule.code}\n; return rule;`, parameters, {
      filename: rule.file,
      columnOffset: -BEFORE.length,
    }),
  );
  return (output, auth0 = {}) => {
    const configuration = copyValues(rule.configuration, rule.withoutValue);
    const require = requireOf(rule, output.warn);
    const made: unknown = make(require, output, configuration, UnauthorizedError, auth0);
    if (typeof made === 'function') return made as RuleFunction;
    throw new Error('it must be one function (user, context, callback)');
  };
}

/** Reads the Actions of the tenant. An Action without code is empty. */
export function readActions(tenant: TenantDocument, files: TenantFiles, log: Reports): Action[] {
  return tenant.actions.flatMap(({ name, code: script, secrets: list, ...action }, index) => {
    const file = files.fileOf('actions', index, script || `${name}.js`);
    const { values: secrets, withoutValue } = valuesOf(list, (fault, at) => {
      const path = ['actions', index, 'secrets', at];
      log.notice(path, `the secret ${fault}: the Action fails where it reads it`);
    });
    try {
      const code = script === '' ? '' : readCode(file, ['actions', index, 'code'], files, log);
      const dependencies = Object.fromEntries(
        action.dependencies.map((module) => [module.name, module.version]),
      );
      const source = { name, file, code, secrets, withoutValue, dependencies, folder: files.root };
      compileAction(source);
      return [source];
    } catch (error) {
      log.fault(['actions', index, 'code'], faultOfFile(file, error));
      return [];
    }
  });
}

/** Reads the enabled rules in their order; a rule without an order comes first, as 0. */
export function readRules(tenant: TenantDocument, files: TenantFiles, log: Reports): Rule[] {
  const list = tenant.rulesConfigs.map(({ key: name, value }) => ({ name, value }));
  const { values: configuration, withoutValue } = valuesOf(list, (fault, index) => {
    log.notice(['rulesConfigs', index], `${fault}: a rule fails where it reads it`);
  });
  const rules = tenant.rules.flatMap(({ name, script, order, enabled }, index) => {
    const file = files.fileOf('rules', index, script);
    try {
      const code = readCode(file, ['rules', index, 'script'], files, log);
      const rule: Rule = { name, file, code, configuration, withoutValue, folder: files.root };
      compileRule(rule)(SILENT);
      return enabled ? [{ order, rule }] : [];
    } catch (error) {
      log.fault(['rules', index, 'script'], faultOfFile(file, error));
      return [];
    }
  });
  return rules.sort((a, b) => a.order - b.order).map(({ rule }) => rule);
}

/** Separates values from names without one: an export has no secrets, or keywords instead. */
function valuesOf(
  list: readonly { readonly name: string; readonly value?: string | undefined }[],
  onMissing: (fault: string, index: number) => void,
): { values: Record<string, string>; withoutValue: string[] } {
  const values: Record<string, string> = {};
  const withoutValue: string[] = [];
  for (const [index, { name, value }] of list.entries()) {
    const keyword = keywordIn(value);
    if (value !== undefined && keyword === undefined) values[name] = value;
    else {
      withoutValue.push(name);
      onMissing(`"${name}" ${keyword ? `(${keyword}) ` : ''}has no value`, index);
    }
  }
  return { values, withoutValue };
}

/** Copies values for one run. Reading a missing one throws, because `undefined` could get into a claim. */
export function copyValues(
  values: Readonly<Record<string, string>>,
  withoutValue: readonly string[] = [],
): Record<string, string> {
  const copy = { ...values };
  for (const name of withoutValue) {
    Object.defineProperty(copy, name, {
      get() {
        throw new Error(`"${name}" has no value: give it one in the tenant file`);
      },
    });
  }
  return copy;
}

function readCode(file: string, at: Path, files: TenantFiles, log: Reports): string {
  const { text, missing, lineAt } = files.readCode(file);
  for (const { name, offset } of missing) {
    const place = `${files.nameOf(file)}, line ${lineAt(offset)}`;
    log.notice(at, `${place}: the keyword ${name} has no value, and stays as it is`);
  }
  return text;
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
