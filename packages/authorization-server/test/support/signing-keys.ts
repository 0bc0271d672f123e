import { rsaJwks } from '../../../../test/support/test-keys.ts';
import { signingKeysSchema } from '../../src/keys/signing-keys.ts';

/** Keys of a server that were made once. */
export const signingKeys = signingKeysSchema.parse({
  keys: rsaJwks
    .slice(0, 2)
    .map((key, i) => ({ ...key, alg: 'RS256', use: 'sig', kid: `key-${i}` })),
}).keys;
