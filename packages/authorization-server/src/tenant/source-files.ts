import { dirname } from 'node:path';
import { compileFunction } from 'node:vm';
import { requireOf } from './modules.ts';
import type { Action, Rule } from './tenant.ts';

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

/** Compiling takes longer than most files run, and each runs at every login. */
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

export type RuleFunction = (
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
    const configuration = { ...rule.configuration };
    const require = requireOf(rule, output.warn);
    const made: unknown = make(require, output, configuration, UnauthorizedError, auth0);
    if (typeof made === 'function') return made as RuleFunction;
    throw new Error('it must be one function (user, context, callback)');
  };
}
