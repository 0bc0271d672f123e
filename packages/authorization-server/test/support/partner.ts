import type { AuthorizationServer, Tenant } from '../../src/index.ts';
import { startDemo } from './demo-server.ts';
import { authorizationRequest, type Browser, openBrowser, type Page } from './sign-in.ts';

/** Registration of the first server at the partner. */
export const CLIENT = { client_id: 'contacts-dev', client_secret: 'contacts-dev-secret' };

type ConnectionChange = Partial<Tenant['connections'][number]>;

/** A connection for the tenant file, as the schema leaves it. */
export function connectionTo(issuer: string, change: ConnectionChange = {}) {
  const options = { issuer, ...CLIENT, ...change.options };
  const enabled_clients = ['contacts-web'];
  return { name: 'partner', strategy: 'oidc', enabled_clients, ...change, options };
}

export interface Pair {
  readonly first: AuthorizationServer;
  readonly partner: AuthorizationServer;
}

/** Two demo servers: users of the second, the partner, can sign in at the first. */
export async function startPair(
  change: (tenant: Tenant) => void = () => {},
  {
    connection = {},
    ...options
  }: Parameters<typeof startDemo>[1] & {
    connection?: ConnectionChange;
  } = {},
): Promise<Pair> {
  const callbacks: string[] = [];
  const partner = await startDemo((tenant) => {
    const [web] = tenant.clients;
    tenant.clients.push({ ...web!, ...CLIENT, name: 'Contacts dev', callbacks });
  });
  const first = await startDemo((tenant) => {
    tenant.connections.push(connectionTo(partner.issuer, connection));
    change(tenant);
  }, options);
  callbacks.push(`${first.issuer}login/callback`);
  return { first, partner };
}

/** Returns the target of a page outside of its server. @throws when it has none */
export function leavingTo(page: Page): string {
  const { location } = page.headers;
  if (location === undefined) throw new Error(`no redirect: ${page.url} ${page.body}`);
  return location;
}

/** Signs in at the partner. @returns its answer: an address at the first server. */
export async function signInThere(browser: Browser, url: string, user = 'bob'): Promise<string> {
  let page = await browser.get(url);
  if (page.url.includes('/u/login/')) {
    const fields = { username: `${user}@example.com`, password: `${user}-demo` };
    page = await browser.submit(page, fields);
  }
  if (page.url.includes('/u/consent/')) page = await browser.submit(page, { action: 'accept' });
  return leavingTo(page);
}

/** A sign-in that goes to the partner at once, up to the first server's consent page or answer. */
export async function signInByPartner(
  { first }: Pick<Pair, 'first'>,
  {
    change = {},
    user = 'bob',
    here = openBrowser(),
    there = here,
  }: { change?: Record<string, string>; user?: string; here?: Browser; there?: Browser } = {},
) {
  const request = authorizationRequest(first, { connection: 'partner', ...change });
  const sent = new URL(leavingTo(await here.get(request.url)));
  const answer = await signInThere(there, sent.href, user);
  return { request, sent, answer, here, there, page: await here.get(answer) };
}
