import { FormBrowser } from './form-browser.ts';

/**
 * Signs a user in at the local authorization server, and consents, as a person with a browser would.
 *
 * @returns the authorization response: the redirect URI with its parameters
 * @throws Error that says on which page it ended, when it does not get that far
 */
export async function signIn(
  authorizationRequest: string,
  redirectURI: string,
  { email, password }: { email: string; password: string },
): Promise<URL> {
  const browser = new FormBrowser({ stopAt: redirectURI });
  let page = await browser.open(authorizationRequest);
  if (page.location === undefined) {
    page = await browser.submit(page, 'username', { username: email, password });
  }
  if (page.location === undefined) {
    page = await browser.submit(page, 'action', { action: 'accept' });
  }
  if (page.location === undefined)
    throw new Error(`signing in ended at ${page.url} with status ${page.status}`);
  return new URL(page.location);
}
