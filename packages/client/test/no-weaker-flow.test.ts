import { describe, expect, test } from '@jest/globals';
import { proves } from '../../../test/support/proves.ts';
import * as client from '../src/index.ts';
import { authorizationParamsFaults } from '../src/oauth/authorization-endpoint.ts';
import { type AuthOptions, checkOptions } from '../src/options/options.ts';

const good = {
  issuerBaseURL: 'https://issuer.example/',
  baseURL: 'https://app.example',
  clientID: 'client-1',
  clientSecret: 'client-secret-1',
  secret: 's-secret-of-the-tests-0123456789',
};
const faultsOf = (options: object) => () => checkOptions(options as AuthOptions);

describe('what would weaken the flow can’t be asked for', () => {
  // Names by which other libraries know it.
  test.each([
    'pkce',
    'usePKCE',
    'usePkce',
    'codeChallengeMethod',
    'nonce',
    'state',
    'checks',
    'skipStateCheck',
    'skipNonceCheck',
    'response_type',
    'responseType',
    'authorizationFlow',
    'implicit',
    'tlsVerify',
    'rejectUnauthorized',
    'insecure',
    'allowInsecureRequests',
    'idTokenSigningAlg',
    'tokenInQuery',
  ])('there is no option %s', (name) => {
    proves('RFC 9700 §4.8');
    expect(faultsOf(good)).not.toThrow();
    expect(faultsOf({ ...good, [name]: false })).toThrow(name);
  });

  test.each(['token', 'id_token', 'code id_token', 'code token', 'none'])(
    'response_type %s cannot be sent',
    (response_type) => {
      proves('RFC 9700 §2.1.2', 'FAPI 2.0 §5.3.3.2-1');
      const [fault] = authorizationParamsFaults({ scope: 'openid', response_type });
      expect(fault).toContain('response_type is set by this package');
    },
  );

  test('no function accepts a password', () => {
    proves('RFC 9700 §2.4');
    const names = Object.keys(client);
    expect(names).toContain('auth');
    for (const name of names) expect(name).not.toMatch(/password|implicit|ropc|credentials/i);
  });

  test('a client is confidential unless it says that it can keep no secret', () => {
    expect(faultsOf({ ...good, clientSecret: undefined })).toThrow('clientSecret');
    expect(faultsOf({ ...good, clientSecret: undefined, clientAuthMethod: 'none' })).not.toThrow();
  });
});
