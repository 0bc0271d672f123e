import type Router from '@koa/router';
import { isLoopback } from './http/loopback.ts';
import { logPage } from './log/log-page.tsx';
import type { Transactions } from './log/transactions.ts';
import { errorPage } from './views/error-page.tsx';

interface LogPageParts {
  readonly issuer: string;
  readonly tenantName: string;
  readonly transactions: Transactions;
}

/**
 * `GET /log`: every transaction step by step; only there when the control is on. It is shown under the
 * issuer's name and a loopback one alone: a page of a site whose name was made to lead here (DNS
 * rebinding) could read it otherwise.
 */
export function routeLog(router: Router, { issuer, tenantName, transactions }: LogPageParts): void {
  router.get('/log', (ctx) => {
    ctx.type = 'html';
    if (isOwnHost(String(ctx.state.sentHost), issuer)) {
      ctx.body = logPage({ tenantName, transactions: transactions.list() });
      return;
    }
    ctx.status = 403;
    ctx.body = errorPage({
      tenantName,
      title: 'Not by this name',
      text: `The log is shown at ${issuer}log, and under a loopback address.`,
    });
  });
}

function isOwnHost(host: string, issuer: string): boolean {
  if (host === new URL(issuer).host) return true;
  return URL.canParse(`http://${host}`) && isLoopback(new URL(`http://${host}`).hostname);
}
