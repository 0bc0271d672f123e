import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { type ClientOptions, checkClient } from '../../src/options/client-options.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const [clientID, clientSecret] = ['client-1', 'secret-1'];

test.each<[string, ClientOptions, object]>([
  [
    'a secret',
    { clientID, clientSecret },
    { clientAuthMethod: 'client_secret_basic', clientSecret },
  ],
  [
    'a key',
    { clientID, clientAssertionSigningKey: privateKey },
    { clientAuthMethod: 'private_key_jwt', signingKey: { alg: 'ES256' } },
  ],
  ['neither', { clientID, clientAuthMethod: 'none' }, { clientAuthMethod: 'none' }],
])('the way that goes with %s', (_name, options, client) => {
  const checked = checkClient(options);
  expect(checked.faults).toEqual([]);
  expect(checked.credentials).toMatchObject({ clientID, ...client });
  expect(Object.isFrozen(checked.credentials)).toBe(true);
});

const key = { clientAssertionSigningKey: privateKey };
test.each<[string, object, string[]]>([
  ['no secret', {}, ['clientSecret must be as']],
  ['no secret for post', { clientAuthMethod: 'client_secret_post' }, ['clientSecret must be as']],
  ['no key', { clientAuthMethod: 'private_key_jwt' }, ['clientAssertionSigningKey must be']],
  ['a key and a secret', { ...key, clientSecret }, ['clientSecret has no use']],
  [
    'a key, and a way that has none',
    { ...key, clientSecret, clientAuthMethod: 'client_secret_post' },
    ['clientAssertionSigningKey has no use'],
  ],
  ['none and a secret', { clientSecret, clientAuthMethod: 'none' }, ['clientSecret has no use']],
  [
    'an algorithm for no key',
    { clientSecret, clientAssertionSigningAlg: 'RS256' },
    ['Alg has no use'],
  ],
  [
    'no such algorithm',
    { ...key, clientAssertionSigningAlg: 'HS256' },
    ['Alg must be ES256 for this key'],
  ],
  [
    'the algorithm of another key',
    { ...key, clientAssertionSigningAlg: 'RS256' },
    ['must be ES256'],
  ],
  [
    'no such way',
    { clientSecret, clientAuthMethod: 'tls_client_auth' },
    ['clientAuthMethod must be'],
  ],
  ['nothing at all', { clientID: '' }, ['clientID must be', 'clientSecret must be']],
])('%s is a fault', (_name, options, messages) => {
  const { faults } = checkClient({ clientID, ...options } as ClientOptions);
  expect(faults).toEqual(messages.map((message) => expect.stringContaining(message)));
  expect(faults.join()).not.toContain(clientSecret);
});
