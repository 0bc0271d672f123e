import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { send } from '@koa/send';
import type { Middleware } from 'koa';

const FILES = {
  'pico.css': createRequire(import.meta.url).resolve('@picocss/pico/css/pico.min.css'),
  'contacts.css': fileURLToPath(new URL('../assets/contacts.css', import.meta.url)),
  'contacts.js': fileURLToPath(new URL('../assets/contacts.js', import.meta.url)),
  'mark.svg': fileURLToPath(new URL('../assets/mark.svg', import.meta.url)),
};

type AssetName = keyof typeof FILES;

const YEAR_MS = 365 * 24 * 3600 * 1000;

const versions = new Map(
  Object.entries(FILES).map(([name, file]) => [
    name,
    hash('sha256', readFileSync(file), 'base64url').slice(0, 10),
  ]),
);

/** Returns the address of an asset. It changes with the content. */
export function assetURL(name: AssetName): string {
  return `/assets/${name}?v=${versions.get(name)}`;
}

/** Serves the files of the pages at `GET /assets/…`, and the icon at `/favicon.ico` too. */
export function assets(): Middleware {
  return async function assets(ctx, next) {
    // Browsers ask for it at the page that leads from the logout to the issuer.
    const isIcon = ctx.path === '/favicon.ico';
    const name = isIcon ? 'mark.svg' : /^\/assets\/([\w.]+)$/.exec(ctx.path)?.[1];
    const file = name && Object.hasOwn(FILES, name) ? FILES[name as AssetName] : undefined;
    if (!name || !file || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return next();
    const isCurrent = ctx.query.v === versions.get(name);
    ctx.remove('Cache-Control');
    await send(ctx, basename(file), {
      root: dirname(file),
      hidden: true,
      immutable: isCurrent,
      maxAge: isCurrent ? YEAR_MS : 0,
    });
  };
}
