import type { StartError } from '@koa-oauth/service';
import { pino } from 'pino';
import { dryRun, readDryRunLogin } from './actions/dry-run.ts';
import { surviveStrayFailures } from './actions/run.ts';
import { readKeywords } from './tenant/keywords.ts';
import { demoTenantFile, loadTenant } from './tenant/load.ts';

/*
 * A program that prints as JSON what the tenant's rules and post-login Actions do for one login.
 * Exit code 0: the login succeeds; 1: it is denied, or an argument is wrong.
 */

try {
  const keywords = readKeywords(process.env);
  // Standard output is for the report alone.
  surviveStrayFailures(pino(pino.destination(2)));
  const tenant = loadTenant(process.env.TENANT?.trim() || demoTenantFile, { keywords });
  const report = await dryRun(tenant, readDryRunLogin(tenant, process.argv.slice(2)));
  // A timer or socket that an Action left open must not hold the process once all is written.
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`, () => {
    process.exit(report.denied === null ? 0 : 1);
  });
} catch (error) {
  const { expose, message } = error as Partial<StartError>;
  if (!expose) throw error;
  process.stderr.write(`${message}\n`);
  process.exitCode = 1;
}
