import { createHmac } from 'node:crypto';
import type { Forge } from './forge.ts';
import { encode } from './sign-jws.ts';
import { publicJwk, type TestAlgorithm } from './test-key.ts';

// Another algorithm that the same key can sign with.
const SIBLINGS: Record<TestAlgorithm, TestAlgorithm> = {
  RS256: 'PS256',
  RS384: 'PS384',
  RS512: 'PS512',
  PS256: 'RS256',
  PS384: 'RS384',
  PS512: 'RS512',
  ES256: 'ES384',
  ES384: 'ES256',
  ES512: 'ES256',
  EdDSA: 'Ed25519',
  Ed25519: 'EdDSA',
};

/** Algorithms, keys and signatures that must not count (RFC 8725 §3.1 to §3.5, §3.10). */
export function wrongSignatures({ good, token, key, stranger, header, attacker, json }: Forge) {
  const [head, payload, signature] = good.split('.') as [string, string, string];
  const unsigned = (alg: string) => token({}, { alg }).replace(/[^.]+$/, '');
  const forged = (more: object) => token({}, { ...more }, stranger);
  const hmac = (secret: string | Buffer, alg = 'HS256') => {
    const input = `${encode({ ...header, alg })}.${payload}`;
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  };
  const pem = key.publicKey.export({ format: 'pem', type: 'spki' }) as string;
  const sibling = SIBLINGS[key.alg];

  return {
    'alg none, unsigned': unsigned('none'),
    'alg none, with a signature': token({}, { alg: 'none' }),
    'alg None': token({}, { alg: 'None' }),
    'alg NONE': token({}, { alg: 'NONE' }),
    'alg nOnE': token({}, { alg: 'nOnE' }),
    'no signature': unsigned(key.alg),
    'HS256 keyed with the PEM': hmac(pem),
    'HS256 keyed with the PEM, trimmed': hmac(pem.trim()),
    'HS256 keyed with the DER': hmac(key.publicKey.export({ format: 'der', type: 'spki' })),
    'HS256 keyed with the JWK': hmac(JSON.stringify(publicJwk(key))),
    'HS256 keyed with nothing': hmac(''),
    'HS256 with a space before it': hmac(pem, ' HS256'),
    'an HMAC under the name of the real algorithm': hmac(pem, key.alg),
    'another algorithm of the same key': token({}, { alg: sibling }, { ...key, alg: sibling }),
    'another key under the right kid': forged({}),
    'another key, without a kid': forged({ kid: undefined }),
    'another key, embedded as jwk': forged({ jwk: publicJwk(stranger) }),
    'another key, named by jku': forged({ jku: `${attacker}jwks.json` }),
    'another key, named by x5u': forged({ x5u: `${attacker}cert.pem` }),
    'another key, with a certificate as x5c': forged({ x5c: ['MIIB'] }),
    'another key, under a kid that is an address': forged({ kid: `${attacker}jwks.json` }),
    'another payload under a good signature': `${head}.${encode(json({ sub: 'admin' }))}.${signature}`,
    'another header under a good signature': `${encode({ ...header, x: 1 })}.${payload}.${signature}`,
    'a signature cut short': `${head}.${payload}.${signature.slice(0, 40)}`,
    'a signature of zeros': `${head}.${payload}.${'A'.repeat(signature.length)}`,
    'a signature with more behind it': `${good}AAAA`,
  };
}
