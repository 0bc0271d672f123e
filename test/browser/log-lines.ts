import type { Service } from '../support/services.ts';

/** One line of a service's log. */
export interface LogLine {
  readonly msg: string;
  readonly requestId?: string;
  readonly method?: string;
  readonly path?: string;
  readonly status?: number;
  readonly code?: string;
}

const PATIENCE = 5000;

/**
 * What a service logs while something is done.
 *
 * @param url of the service, which is asked for its health to know when its log is complete
 */
export async function logWhile(
  service: Service,
  url: string,
  action: () => Promise<unknown>,
): Promise<LogLine[]> {
  const before = await logUntilNow(service, url);
  await action();
  const after = await logUntilNow(service, url);
  return after
    .slice(before.length)
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as LogLine)
    .filter(({ path }) => path !== '/healthz');
}

/** A line for a request that is made now comes behind all lines of those before. */
async function logUntilNow(service: Service, url: string): Promise<string> {
  const { headers } = await fetch(new URL('/healthz', url));
  const id = headers.get('x-request-id') ?? '';
  for (const end = Date.now() + PATIENCE; Date.now() < end; ) {
    const line = service.printed().indexOf(id);
    if (line !== -1) return service.printed();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('the service did not log a request');
}
