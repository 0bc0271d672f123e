import type { Context } from 'koa';

/** A browser that loads a page before anyone asked for it (or a framework's router that does). */
export function isPrefetch(request: Pick<Context, 'get'>): boolean {
  const header = (name: string) => request.get(name);
  return (
    /\bprefetch\b|\bprerender\b/i.test(header('Sec-Purpose')) ||
    /^(prefetch|preview)$/i.test(header('Purpose') || header('X-Purpose') || header('X-Moz')) ||
    header('Next-Router-Prefetch') !== ''
  );
}

/**
 * Whether a person is going to a page, so that sending the browser elsewhere makes sense. A script
 * that fetches (`Sec-Fetch-Dest: empty`, `X-Requested-With`) could not follow to another origin.
 */
export function isNavigation(request: Pick<Context, 'get' | 'method'>): boolean {
  const header = (name: string) => request.get(name).toLowerCase();
  if (request.method !== 'GET' && request.method !== 'HEAD') return false;
  if (header('X-Requested-With') === 'xmlhttprequest') return false;
  const [destination, mode] = [header('Sec-Fetch-Dest'), header('Sec-Fetch-Mode')];
  if (destination) return ['document', 'iframe', 'frame'].includes(destination);
  const accept = header('Accept');
  if (accept.includes('text/html')) return true;
  // Anything at all is what a command-line client accepts, and what a script's fetch() does.
  const anything = accept === '' || accept.includes('*/*');
  return anything && !accept.includes('json') && (mode === '' || mode === 'navigate');
}
