import { type AuthOptions, type CheckedOptions, checkOptions } from '../../src/options/options.ts';

/** Options that will do, as an app gives them. */
export const OPTIONS: AuthOptions = {
  issuerBaseURL: 'https://issuer.example/',
  baseURL: 'https://app.example',
  clientID: 'client-1',
  clientSecret: 'client-secret-1',
  secret: 's-secret-of-the-tests-0123456789',
};

/** The same with changes, as the parts of the client get them. */
export function checkedOptions(change: Partial<AuthOptions> = {}): CheckedOptions {
  return checkOptions({ ...OPTIONS, ...change });
}
