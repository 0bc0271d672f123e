import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname } from 'node:path';
import Router from '@koa/router';
import { send } from '@koa/send';

const viewer = createRequire(import.meta.url).resolve(
  'openapi-explorer/dist/browser/openapi-explorer.min.js',
);
const page = readFileSync(new URL('../assets/docs.html', import.meta.url), 'utf8');

/** `/openapi.json`, and `/docs`: a page that shows it and calls the API. Nothing comes from another host. */
export function docsRouter(document: object): Router {
  const json = JSON.stringify(document);
  const router = new Router({ strict: true, sensitive: true });
  router.get('/openapi.json', (ctx) => {
    ctx.type = 'application/json';
    ctx.body = json;
  });
  router.get('/docs', (ctx) => {
    ctx.type = 'html';
    ctx.body = page;
  });
  router.get('/docs/viewer.js', async (ctx) => {
    ctx.remove('Cache-Control');
    await send(ctx, basename(viewer), { root: dirname(viewer), maxAge: 3_600_000 });
  });
  return router;
}
