import type Router from '@koa/router';
import { welcomePage } from '../views/welcome-page.tsx';

/** `GET /`: what this is, for a developer who opens the issuer's address. */
export function routeWelcome(router: Router, tenantName: string): void {
  router.get('/', (ctx) => {
    ctx.type = 'html';
    ctx.body = welcomePage({ tenantName });
  });
}
