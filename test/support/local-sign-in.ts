import { demoTenantFile, loadTenant, type Tenant } from '@koa-oauth/authorization-server';
import type { FormBrowser, Page } from './form-browser.ts';

/**
 * Loads the demo tenant. Its web app has a key instead of a secret, and the given address.
 *
 * @returns the tenant, its web app and its API
 */
export function tenantWithClientKey(baseURL: string, jwk: object) {
  const tenant: Tenant = loadTenant(demoTenantFile);
  const client = tenant.clients.find(({ client_id }) => client_id === 'contacts-web');
  const [api] = tenant.resourceServers;
  if (!client || !api) throw new Error('the demo tenant has changed');
  delete client.client_secret;
  delete client.token_endpoint_auth_method;
  Object.assign(client, {
    callbacks: [`${baseURL}/callback`],
    allowed_logout_urls: [baseURL],
    jwks: { keys: [jwk] },
  });
  return { tenant, client, api };
}

/** Signs alice in at the local issuer, and consents. @returns the page after the sign-in */
export async function signInAlice(
  browser: FormBrowser,
  { baseURL, issuer }: { baseURL: string; issuer: string },
): Promise<Page> {
  const login = await browser.open(`${baseURL}/login`);
  if (!login.url.startsWith(issuer)) return login;
  const user = { username: 'alice@example.com', password: 'alice-demo' };
  const consent = await browser.submit(login, 'form:has(input[type="password"])', user);
  return browser.submit(consent, 'form:has([name="action"])', { action: 'accept' });
}
