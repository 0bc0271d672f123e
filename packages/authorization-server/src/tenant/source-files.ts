import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { compileFunction } from 'node:vm';
import type { Action } from './tenant.ts';

/** What an Action's `console` writes to, so that it does not break the log's JSON. */
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

/** Compiling takes longer than most Actions do, and each runs at every login. */
const compiled = new WeakMap<Action, ReturnType<typeof compileFunction>>();

/**
 * Compiles an Action without running it.
 *
 * An Action is CommonJS whatever the package around it says, so it does not go through the loader,
 * which would take a `.js` file in a package of type `module` for an ES module.
 *
 * @returns runs the file and answers what it exports; each call runs it anew.
 * @throws SyntaxError
 */
export function compileAction(action: Action): (output: ActionConsole) => ActionExports {
  const parameters = ['exports', 'require', 'module', '__filename', '__dirname', 'console'];
  const run =
    compiled.get(action) ?? compileFunction(action.code, parameters, { filename: action.file });
  compiled.set(action, run);
  return (output) => {
    const module: { exports: ActionExports } = { exports: {} };
    const require = createRequire(action.file);
    run(module.exports, require, module, action.file, dirname(action.file), output);
    return module.exports;
  };
}
