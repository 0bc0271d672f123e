import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import Router from '@koa/router';

const own = (name: string): Buffer =>
  readFileSync(new URL(`../../public/${name}`, import.meta.url));

/** The stylesheets, the icon and the one script, from memory. */
export function assetRoutes(): Router {
  const router = new Router();
  const require = createRequire(import.meta.url);
  const assets = {
    'pico.min.css': readFileSync(require.resolve('@picocss/pico/css/pico.min.css')),
    'style.css': own('style.css'),
    'icon.svg': own('icon.svg'),
    'web-message.js': own('web-message.js'),
  };
  for (const [name, content] of Object.entries(assets)) {
    router.get(`/assets/${name}`, (ctx) => {
      ctx.set('cache-control', 'public, max-age=3600');
      ctx.type = name.slice(name.lastIndexOf('.'));
      ctx.body = content;
    });
  }
  return router;
}
