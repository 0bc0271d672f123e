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

const TIMEOUT_MS = 5000;

/**
 * Returns the lines that a service logs during an action.
 *
 * @param url address of the service. Requests to `/healthz` mark the begin and the end in the log
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

/** Sends a request and waits for its line: all earlier lines precede it. */
async function logUntilNow(service: Service, url: string): Promise<string> {
  const { headers } = await fetch(new URL('/healthz', url));
  const id = headers.get('x-request-id') ?? '';
  for (const end = Date.now() + TIMEOUT_MS; Date.now() < end; ) {
    const line = service.printed().indexOf(id);
    if (line !== -1) return service.printed();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('the service did not log a request');
}
