import type { Context } from 'koa';

/** A browser that loads a page before anyone asked for it (or a framework's router that does). */
export function isPrefetch(request: Pick<Context, 'get'>): boolean {
  const header = (name: string) => request.get(name);
  return (
    ['Sec-Purpose', 'X-Sec-Purpose', 'Purpose', 'X-Purpose', 'X-Moz'].some((name) =>
      /\b(prefetch|prerender|preview)\b/i.test(header(name)),
    ) ||
    ['Next-Router-Prefetch', 'Next-Router-Segment-Prefetch', 'X-Middleware-Prefetch'].some(
      (name) => header(name) !== '',
    )
  );
}

/** A script that fetches: it could not follow a redirect to another origin. */
export function isScript(request: Pick<Context, 'get'>): boolean {
  const header = (name: string) => request.get(name).toLowerCase();
  return header('X-Requested-With') === 'xmlhttprequest' || header('Sec-Fetch-Dest') === 'empty';
}

/** Whether a person is going to a page, so that sending the browser elsewhere makes sense. */
export function isNavigation(request: Pick<Context, 'get' | 'method'>): boolean {
  const header = (name: string) => request.get(name).toLowerCase();
  if (request.method !== 'GET' && request.method !== 'HEAD') return false;
  if (isScript(request)) return false;
  const [destination, mode] = [header('Sec-Fetch-Dest'), header('Sec-Fetch-Mode')];
  if (destination) return ['document', 'iframe', 'frame'].includes(destination);
  const accept = header('Accept');
  if (accept.includes('text/html')) return true;
  // Anything at all is what a command-line client accepts, and what a script's fetch() does.
  const anything = accept === '' || accept.includes('*/*');
  return anything && !accept.includes('json') && (mode === '' || mode === 'navigate');
}
