import type { Tenant } from '../../src/index.ts';

/** A rule with this body of `function (user, context, callback)`. */
export function ruleOf(body: string, name = 'test'): Tenant['loginRules'][number] {
  const code = `function (user, context, callback) {\n${body}\n}`;
  return { name, file: import.meta.filename, code, configuration: { WORD: 'hush' } };
}
