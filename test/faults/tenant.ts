import { cp, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { demoTenantFile } from '@koa-oauth/authorization-server';

/** The web app renews a token when half of this is left. */
const TOKEN_LIFETIME_SECONDS = 30;
/** A refresh token may be used again for this time, because its answer may get lost. */
const LEEWAY_SECONDS = 10;

/** Copies the demo tenant with short-lived tokens and other addresses of the web app. @returns its path */
export async function copyTenant(folder: string, webs: readonly string[]): Promise<string> {
  await cp(dirname(demoTenantFile), join(folder, 'tenant'), { recursive: true });
  const copy = join(folder, 'tenant', 'tenant.yaml');
  const changes: [RegExp, string][] = [
    [/\[http:\/\/localhost:3000\/callback\]/g, `[${webs.map((web) => `${web}/callback`)}]`],
    [/\[http:\/\/localhost:3000\]/g, `[${webs}]`],
    [/^( {4}token_lifetime:) \d+$/m, `$1 ${TOKEN_LIFETIME_SECONDS}`],
    [/(rotation_type: rotating)/, `$1, leeway: ${LEEWAY_SECONDS}`],
  ];
  let text = await readFile(demoTenantFile, 'utf8');
  for (const [from, to] of changes) {
    if (text.search(from) < 0) throw new Error(`the demo tenant has changed: no ${from}`);
    text = text.replace(from, to);
  }
  await writeFile(copy, text);
  return copy;
}
