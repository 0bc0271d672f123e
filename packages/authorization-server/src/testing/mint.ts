import { createPrivateKey, createPublicKey, randomUUID } from 'node:crypto';
import {
  type HostileTokenName,
  type HostileTokens,
  hostileTokens,
  signJws,
  type TestKey,
} from '@koa-oauth/issuer/testing';
import type { AuthorizationServer } from '../authorization-server.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import { keyId } from '../keys/signing-algorithms.ts';
import type { SigningKey } from '../keys/signing-keys.ts';
import { findApi, RSA_ALGORITHMS } from '../tenant/tenant.ts';

type Members = Readonly<Record<string, unknown>>;

/** Signs tokens that the server itself would not issue. */
export interface Mint {
  /**
   * Signs any claims with the current key. Defaults: `iss`, `sub` (the first user), `aud` (the first
   * API), `iat` by the server's clock, `exp` by the API's lifetime, and in the API's dialect `azp`, or
   * `client_id` and `jti`; in the header `alg`, `kid` and `typ`. Undefined removes a member.
   */
  (claims?: Members, header?: Members): string;
  /** Returns one of the hostile tokens. */
  hostile(name: HostileTokenName, claims?: Members): string;
}

export interface Mints {
  readonly mint: Mint;
  /**
   * Tokens that an API must refuse, by name, made from a good one (`typ` at+jwt, RFC 9068) with these
   * claims, except for the one thing that its name says. Their times go by the real clock.
   *
   * @param claims those of a token that the API lets in; `aud` is the first API unless given.
   */
  hostileTokens(claims?: Members): HostileTokens;
}

export function createMints(server: AuthorizationServer, ring: KeyRing): Mints {
  const { issuer } = server;
  const realTime = (): number => Math.floor(Date.now() / 1000);
  const hostile: Mints['hostileTokens'] = (claims = {}) => {
    const [api] = server.tenant.resourceServers;
    const named = { aud: api?.identifier ?? '', ...claims } as { aud: string };
    return hostileTokens({ issuer, key: toTestKey(ring.current), now: realTime(), claims: named });
  };
  const mint = (claims: Members = {}, header: Members = {}): string => {
    const { resourceServers, users, clients } = server.tenant;
    const { aud = resourceServers[0]?.identifier } = claims;
    const [audience] = [aud].flat();
    const api = findApi(server.tenant, audience);
    const rfc9068 = api?.token_dialect.startsWith('rfc9068') ?? false;
    const client = clients[0]?.client_id;
    const iat = realTime() + server.clock;
    const { kid, privateKey } = toTestKey(ring.current);
    const alg = RSA_ALGORITHMS.find((one) => one === api?.signing_alg) ?? 'RS256';
    return signJws(
      { alg, typ: rfc9068 ? 'at+jwt' : 'JWT', kid: keyId(kid, alg), ...header },
      {
        iss: issuer,
        sub: users[0]?.user_id,
        aud,
        iat,
        exp: iat + (api?.token_lifetime ?? 86_400),
        ...(rfc9068 ? { client_id: client, jti: randomUUID() } : { azp: client }),
        ...claims,
      },
      { alg, privateKey },
    );
  };
  return {
    mint: Object.assign(mint, {
      hostile(name: HostileTokenName, claims?: Members) {
        const token = hostile(claims)[name];
        // An API would rightly reject "undefined", and a test with a misspelled name would pass.
        if (token === undefined) throw new Error(`no hostile token "${name}"`);
        return token;
      },
    }),
    hostileTokens: hostile,
  };
}

function toTestKey(jwk: SigningKey): TestKey {
  const privateKey = createPrivateKey({ key: jwk, format: 'jwk' });
  return { kid: jwk.kid, alg: 'RS256', privateKey, publicKey: createPublicKey(privateKey) };
}
