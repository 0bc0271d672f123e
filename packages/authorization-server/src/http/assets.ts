import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type Router from '@koa/router';
import { welcomePage } from '../views/welcome-page.tsx';

const own = (name: string): Buffer =>
  readFileSync(new URL(`../../public/${name}`, import.meta.url));

/** The stylesheets, the icon and the one script, from memory. */
export function routeAssets(router: Router): void {
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
}

/** `GET /`: what this is, for a developer who opens the issuer's address. */
export function routeWelcome(router: Router, tenantName: string): void {
  router.get('/', (ctx) => {
    ctx.type = 'html';
    ctx.body = welcomePage({ tenantName });
  });
}
