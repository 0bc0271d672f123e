import { SignJWT } from 'jose';
import type { ClientSigningKey } from './client-signing-key.ts';
import { randomToken } from './random-token.ts';

/** How the client proves itself to the authorization server (RFC 6749 §2.3): one way per request. */
export type ClientCredentials = { readonly clientID: string } & (
  | {
      readonly clientAuthMethod: 'client_secret_basic' | 'client_secret_post';
      readonly clientSecret: string;
    }
  | { readonly clientAuthMethod: 'private_key_jwt'; readonly signingKey: ClientSigningKey }
  | { readonly clientAuthMethod: 'none' }
);

/** What a request gets to prove who sends it. */
export interface ClientAuthentication {
  readonly headers: Readonly<Record<string, string>>;
  readonly form: Readonly<Record<string, string>>;
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const ASSERTION_LIFETIME = 60;

/**
 * Makes what one request needs: `client_secret_basic` and `client_secret_post` (RFC 6749 §2.3.1),
 * `private_key_jwt` (RFC 7523 §2.2, OpenID Connect Core §9), or the `client_id` alone.
 *
 * @param issuer the authorization server's issuer identifier
 * @param now seconds since 1970
 */
export async function authenticateClient(
  client: ClientCredentials,
  { issuer, now }: { issuer: string; now: number },
): Promise<ClientAuthentication> {
  const { clientID } = client;
  switch (client.clientAuthMethod) {
    case 'client_secret_basic': {
      // §2.3.1: both are form-encoded before they are joined, so a ":" in either stays unambiguous.
      const credentials = `${formEncode(clientID)}:${formEncode(client.clientSecret)}`;
      const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
      return { headers: { authorization }, form: {} };
    }
    case 'client_secret_post':
      return { headers: {}, form: { client_id: clientID, client_secret: client.clientSecret } };
    case 'private_key_jwt': {
      const assertion = await signAssertion(clientID, client.signingKey, { issuer, now });
      const form = {
        client_id: clientID,
        client_assertion_type: ASSERTION_TYPE,
        client_assertion: assertion,
      };
      return { headers: {}, form };
    }
    case 'none':
      return { headers: {}, form: { client_id: clientID } };
  }
}

/**
 * A fresh one for each request: its `jti` is good once. The audience is the issuer identifier and
 * nothing beside it, at every endpoint (draft-ietf-oauth-rfc7523bis; RFC 9126 §2 advises the same):
 * under a token endpoint's name, another server's metadata could have the assertion made for it.
 */
function signAssertion(
  clientID: string,
  { key, alg, kid }: ClientSigningKey,
  { issuer, now }: { issuer: string; now: number },
): Promise<string> {
  return new SignJWT()
    .setProtectedHeader({ alg, ...(kid !== undefined && { kid }) })
    .setIssuer(clientID)
    .setSubject(clientID)
    .setAudience(issuer)
    .setJti(randomToken())
    .setIssuedAt(now)
    .setExpirationTime(now + ASSERTION_LIFETIME)
    .sign(key);
}

function formEncode(value: string): string {
  return new URLSearchParams({ '': value }).toString().slice(1);
}
