import type Router from '@koa/router';
import type { Transactions } from './transactions.ts';
import { logPage } from './views/log-page.tsx';

/** `GET /log`: every transaction step by step; only there when the control is on. */
export function routeLog(router: Router, tenantName: string, transactions: Transactions): void {
  router.get('/log', (ctx) => {
    ctx.type = 'html';
    ctx.body = logPage({ tenantName, transactions: transactions.list() });
  });
}
