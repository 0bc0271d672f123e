import { createHttpClient, type Proofs } from '@koa-oauth/client';

/** A decoded JWT, for display only: nothing has verified it. */
export interface UnverifiedToken {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** A wrong call to the API. */
export interface Attempt {
  readonly label: string;
  /** Description of the request. */
  readonly sends: string;
  /** For sessions whose tokens are bound to a key. */
  readonly isAboutProofs?: boolean;
  /** @returns undefined when the token to change is no JWT, or there is no key */
  readonly make: (tokens: Tokens) => WrongRequest | undefined;
}

interface Tokens {
  readonly accessToken: string;
  readonly idToken: string;
  /** Undefined for bearer tokens. */
  readonly proofs?: Proofs | undefined;
}

interface WrongRequest {
  readonly token?: string;
  /** Proof that is sent with a bound token. Default: a good one */
  readonly proof?: 'none' | 'used';
  readonly query?: Readonly<Record<string, string>>;
}

/** Wrong calls, each with its own answer. */
export const ATTEMPTS = {
  none: {
    label: 'No token',
    sends: 'no Authorization header at all',
    make: () => ({}),
  },
  broken: {
    label: 'A broken signature',
    sends: 'your access token with one character of its signature changed',
    make: ({ accessToken }) => ({ token: breakSignature(accessToken) }),
  },
  expired: {
    label: 'An expired token',
    sends:
      'your access token with “exp” an hour ago. Its signature is wrong too, but the API checks times first',
    make: ({ accessToken }) =>
      withClaims(accessToken, { exp: Math.floor(Date.now() / 1000) - 3600 }),
  },
  foreign: {
    label: 'A token of another issuer',
    sends: 'your access token with another “iss”',
    make: ({ accessToken }) => withClaims(accessToken, { iss: 'https://another-issuer.example/' }),
  },
  audience: {
    label: 'A token for another API',
    sends: 'your access token with another “aud”',
    make: ({ accessToken }) => withClaims(accessToken, { aud: 'https://another-api.example/' }),
  },
  id_token: {
    label: 'The ID token',
    sends: 'your genuine ID token, which is for this app, not for the API',
    make: ({ idToken }) => ({ token: idToken }),
  },
  query: {
    label: 'A token in the URL',
    sends: 'a made-up access_token in the query, which logs and histories keep',
    make: () => ({ query: { access_token: 'made-up' } }),
  },
  stolen: {
    label: 'A stolen token',
    sends: 'your access token as a bearer token, as a thief would who has it without the key',
    isAboutProofs: true,
    make: ({ accessToken, proofs }) => proofs && { token: accessToken, proof: 'none' },
  },
  replayed: {
    label: 'A proof again',
    sends: 'your access token and a good proof, twice. This is the answer to the second',
    isAboutProofs: true,
    make: ({ accessToken, proofs }) => proofs && { token: accessToken, proof: 'used' },
  },
} as const satisfies Record<string, Attempt>;

type AttemptName = keyof typeof ATTEMPTS;

export function isAttempt(name: string): name is AttemptName {
  return Object.hasOwn(ATTEMPTS, name);
}

/** Answer of the API to a wrong call. */
export interface ApiAnswer {
  readonly status: number;
  readonly challenge: string | undefined;
  readonly body: string;
}

const MAX_SHOWN = 2000;

/**
 * Calls `GET /contacts` with a wrong token, or none.
 *
 * @param timeoutMs time for the whole exchange
 * @returns undefined without an answer, or when the token to change is no JWT
 */
export async function tryApi(
  apiBaseURL: string,
  name: AttemptName,
  tokens: Tokens,
  timeoutMs = 5000,
): Promise<ApiAnswer | undefined> {
  const wrong: WrongRequest | undefined = ATTEMPTS[name].make(tokens);
  if (!wrong) return undefined;
  const http = createHttpClient({ timeout: timeoutMs, maxBodyBytes: 64 * 1024 });
  const url = new URL(`${apiBaseURL.replace(/\/$/, '')}/contacts`);
  url.search = String(new URLSearchParams(wrong.query));
  const request = { headers: headersOf(wrong, url, tokens.proofs) };
  try {
    if (wrong.proof === 'used') await http(url, request);
    const { status, headers, body } = await http(url, request);
    const challenge = headers['www-authenticate'];
    return { status, challenge, body: body.slice(0, MAX_SHOWN) };
  } catch {
    return undefined;
  }
}

/** Decodes a token. @returns undefined when it is no JWT: an access token can be opaque */
export function decodeUnverified(token: string): UnverifiedToken | undefined {
  const parts = token.split('.');
  if (parts.length !== 3) return undefined;
  const [header, claims] = parts.map(parseObject);
  return header && claims ? { header, claims } : undefined;
}

function parseObject(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString());
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function headersOf(
  { token, proof }: WrongRequest,
  url: URL,
  proofs: Proofs | undefined,
): Record<string, string> {
  if (token === undefined) return {};
  if (!proofs || proof === 'none') return { authorization: `Bearer ${token}` };
  const dpop = proofs.create({ method: 'GET', url, accessToken: token });
  return { authorization: `DPoP ${token}`, dpop };
}

function breakSignature(token: string): string {
  const at = token.lastIndexOf('.') + 10;
  return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
}

/** Changes claims of a token and keeps its signature, which is then wrong. */
function withClaims(token: string, claims: Record<string, unknown>): WrongRequest | undefined {
  const parsed = decodeUnverified(token);
  if (!parsed) return undefined;
  const [header, , signature] = token.split('.');
  const payload = Buffer.from(JSON.stringify({ ...parsed.claims, ...claims }));
  return { token: `${header}.${payload.toString('base64url')}.${signature}` };
}
