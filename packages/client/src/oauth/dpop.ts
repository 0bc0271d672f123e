import {
  createPrivateKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  randomUUID,
} from 'node:crypto';
import {
  type AuthorizationServerMetadata,
  type HttpAnswer,
  type HttpClient,
  type HttpRequest,
  jwkThumbprint,
  signJws,
} from '@koa-oauth/issuer';
import { OidcError } from '../errors.ts';
import { parseChallenge } from './challenge.ts';
import { isObject } from './signed-jwt.ts';

/** Private key of one session (RFC 7518 §6.2). It is stored only encrypted, with the session. */
export interface SessionKey {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
  readonly d: string;
}

/** Request that a proof is made for. */
export interface ProofRequest {
  readonly method: string;
  readonly url: string | URL;
  /** Access token that is sent with the proof, to an API. */
  readonly accessToken?: string | undefined;
  /** Nonce that the server gave. Default: its last one, if this process received one */
  readonly nonce?: string | undefined;
}

const ALG = 'ES256';

/** Makes the key of a new session. */
export function createSessionKey(): SessionKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ format: 'jwk' }) as SessionKey;
}

/** Returns the thumbprint of a key (RFC 7638 §3): `dpop_jkt` of a sign-in, `cnf.jkt` of a token. */
export function thumbprintOf(key: SessionKey): string {
  return jwkThumbprint({ ...key });
}

/**
 * Checks that the issuer binds tokens to keys (RFC 9449 §5.1).
 *
 * @throws OidcError `ERR_DPOP_UNSUPPORTED`: a sign-in without the binding would be weaker than wanted
 */
export function requireDpopSupport(metadata: AuthorizationServerMetadata): void {
  const algs = metadata.dpop_signing_alg_values_supported;
  if (Array.isArray(algs) && algs.includes(ALG)) return;
  const detail = `its metadata does not have ${ALG} in "dpop_signing_alg_values_supported"`;
  throw new OidcError('ERR_DPOP_UNSUPPORTED', { detail });
}

/** Nonces that servers gave (RFC 9449 §8, §9), by origin: those of the issuer and of the API. */
export class Dpop {
  readonly #nonces = new Map<string, string>();
  readonly #seconds: () => number;

  /** @param seconds returns seconds since 1970 */
  constructor(seconds: () => number) {
    this.#seconds = seconds;
  }

  proofsOf(key: SessionKey): Proofs {
    return new Proofs(key, this.#nonces, this.#seconds);
  }
}

/** An answer as the endpoints of the issuer and an API give it. */
type Answer = Pick<HttpAnswer, 'status' | 'headers'> & { readonly body: unknown };

/** Imported keys. A key is imported once for each time that its session is read. */
const imported = new WeakMap<SessionKey, KeyObject>();

/** Proofs that a session has its key (RFC 9449 §4). */
export class Proofs {
  readonly thumbprint: string;
  readonly #key: SessionKey;
  readonly #nonces: Map<string, string>;
  readonly #seconds: () => number;

  constructor(key: SessionKey, nonces: Map<string, string>, seconds: () => number) {
    this.thumbprint = thumbprintOf(key);
    this.#key = key;
    this.#nonces = nonces;
    this.#seconds = seconds;
  }

  /** Makes a proof for one request. A server accepts it once. */
  create({ method, url, accessToken, nonce }: ProofRequest): string {
    const { origin, pathname } = new URL(url);
    const { kty, crv, x, y } = this.#key;
    const header = { typ: 'dpop+jwt', alg: ALG, jwk: { kty, crv, x, y } };
    const payload = {
      jti: randomUUID(),
      htm: method,
      // §4.2: without query and fragment.
      htu: origin + pathname,
      iat: this.#seconds(),
      ...(accessToken !== undefined && { ath: hash('sha256', accessToken, 'base64url') }),
      nonce: nonce ?? this.#nonces.get(origin),
    };
    return signJws(header, payload, { alg: ALG, privateKey: this.#import() });
  }

  /**
   * Makes an exchange, and makes it again only if the server demands a nonce that the proof did not have:
   * it then has refused the request before it did anything (RFC 9449 §8, §9). A second demand is not met.
   *
   * @param exchange sends the request, with a new proof each time
   */
  async send<A extends Answer>(
    request: Omit<ProofRequest, 'nonce'>,
    exchange: (createProof: () => string) => Promise<A>,
  ): Promise<A> {
    const { origin } = new URL(request.url);
    const sent = this.#nonces.get(origin);
    const answer = await exchange(() => this.create({ ...request, nonce: sent }));
    const nonce = this.#remember(origin, answer);
    if (nonce === undefined || nonce === sent || !demandsNonce(answer)) return answer;
    const second = await exchange(() => this.create({ ...request, nonce }));
    this.#remember(origin, second);
    return second;
  }

  #remember(origin: string, { headers }: Answer): string | undefined {
    const { 'dpop-nonce': nonce } = headers;
    if (typeof nonce !== 'string' || !NONCE.test(nonce)) return undefined;
    this.#nonces.set(origin, nonce);
    return nonce;
  }

  #import(): KeyObject {
    const key =
      imported.get(this.#key) ?? createPrivateKey({ key: { ...this.#key }, format: 'jwk' });
    imported.set(this.#key, key);
    return key;
  }
}

/** Access token to send, with the proofs of its session if it is bound to a key. */
export interface TokenToSend {
  readonly accessToken: string;
  readonly proofs: Proofs | undefined;
}

interface RequestWithToken extends Omit<HttpRequest, 'headers'> {
  readonly headers: Record<string, string>;
}

/** Sends a request with an access token (RFC 6750 §2.1), and a proof for a bound one (RFC 9449 §7.1). */
export function sendWithToken(
  http: HttpClient,
  url: string | URL,
  { method = 'GET', headers, ...request }: RequestWithToken,
  { accessToken, proofs }: TokenToSend,
): Promise<HttpAnswer> {
  if (!proofs) {
    const authorization = `Bearer ${accessToken}`;
    return http(url, { ...request, method, headers: { ...headers, authorization } });
  }
  const authorization = `DPoP ${accessToken}`;
  return proofs.send({ method, url, accessToken }, (createProof) =>
    // A function: the HTTP client may repeat a GET, and a proof works once.
    http(url, {
      ...request,
      method,
      headers: () => ({ ...headers, authorization, dpop: createProof() }),
    }),
  );
}

/** Characters of a nonce (RFC 9449 §8.1), and a length that fits in a header. */
const NONCE = /^[\x21\x23-\x5b\x5d-\x7e]{1,1024}$/;

// RFC 9449 §8: an error of the token endpoint; §9: a challenge of an API.
function demandsNonce({ status, headers, body }: Answer): boolean {
  if (status !== 400 && status !== 401) return false;
  if (isObject(body)) return body.error === 'use_dpop_nonce';
  const challenge = parseChallenge(headers['www-authenticate'], 'DPoP');
  return status === 401 && challenge?.error === 'use_dpop_nonce';
}

/** Start of each proof of this file. */
const PROOF_START = Buffer.from('{"typ":"dpop+jwt"').toString('base64url').slice(0, 20);

/** Removes proofs from a text of another server. */
export function withoutProofs(text: string): string {
  // Each character is read once, and nothing is kept for a step back: the text can be long and hostile.
  const end = /[^\w.-]/g;
  let cleaned = '';
  let from = 0;
  let start = text.indexOf(PROOF_START);
  while (start !== -1) {
    cleaned += `${text.slice(from, start)}[proof]`;
    end.lastIndex = start;
    from = end.exec(text)?.index ?? text.length;
    start = text.indexOf(PROOF_START, from);
  }
  return cleaned + text.slice(from);
}
