import { createRequire } from 'node:module';
import { compileFunction } from 'node:vm';
import type { ActionConsole } from './source-files.ts';
import type { Rule } from './tenant.ts';

export type RuleFunction = (
  user: unknown,
  context: unknown,
  callback: (error?: unknown, user?: unknown, context?: unknown) => void,
) => unknown;

/** What a rule gives its callback to deny a login; a global of every rule. */
class UnauthorizedError extends Error {
  override readonly name = 'UnauthorizedError';
}

const BEFORE = 'const rule = ';

/** Compiling takes longer than most rules do, and each runs at every login. */
const compiled = new WeakMap<Rule, ReturnType<typeof compileFunction>>();

/**
 * Compiles a rule without running it: a file that is one function expression, CommonJS around it.
 *
 * @returns answers the function; each call makes it anew.
 * @throws SyntaxError
 */
export function compileRule(rule: Rule): (output: ActionConsole) => RuleFunction {
  const parameters = ['require', 'console', 'configuration', 'UnauthorizedError'];
  const make =
    compiled.get(rule) ??
    compileFunction(`${BEFORE}${rule.code}\n; return rule;`, parameters, {
      filename: rule.file,
      columnOffset: -BEFORE.length,
    });
  compiled.set(rule, make);
  return (output) => {
    const made: unknown = make(
      createRequire(rule.file),
      output,
      { ...rule.configuration },
      UnauthorizedError,
    );
    if (typeof made === 'function') return made as RuleFunction;
    throw new Error('it must be one function (user, context, callback)');
  };
}
