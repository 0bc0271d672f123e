import { FormBrowser } from './form-browser.ts';

// The login page has a form to type in, beside one-click forms for the tenant's users.
const LOGIN_FORM = 'form:has(input[name="username"]:not([type="hidden"]))';
const CONSENT_FORM = 'form:has([name="action"])';

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
    page = await browser.submit(page, LOGIN_FORM, { username: email, password });
  }
  if (page.location === undefined) {
    page = await browser.submit(page, CONSENT_FORM, { action: 'accept' });
  }
  if (page.location === undefined)
    throw new Error(`signing in ended at ${page.url} with status ${page.status}`);
  return new URL(page.location);
}
