import { takeApart } from './unverified-token.ts';

/** A way to call the API wrongly, to see what it answers. */
export interface Attempt {
  readonly label: string;
  /** What is sent in place of the right request. */
  readonly sends: string;
  /** @returns the request's headers and query; undefined when it can't be made of these tokens */
  readonly make: (tokens: Tokens) => Wrong | undefined;
}

interface Tokens {
  readonly accessToken: string;
  readonly idToken: string;
}

interface Wrong {
  readonly headers: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
}

const bearer = (token: string): Wrong => ({ headers: { authorization: `Bearer ${token}` } });

/** Of each wrong token the API says something else. */
export const ATTEMPTS = {
  none: {
    label: 'No token',
    sends: 'no Authorization header at all',
    make: () => ({ headers: {} }),
  },
  broken: {
    label: 'A broken signature',
    sends: 'your access token with one character of its signature changed',
    make: ({ accessToken }) => bearer(breakSignature(accessToken)),
  },
  expired: {
    label: 'An expired token',
    sends:
      'your access token with “exp” an hour ago, so that its signature does not fit either: the API looks at the times first, as that needs no key',
    make: ({ accessToken }) => changed(accessToken, { exp: Math.floor(Date.now() / 1000) - 3600 }),
  },
  foreign: {
    label: 'A token of another issuer',
    sends: 'your access token with another “iss”',
    make: ({ accessToken }) => changed(accessToken, { iss: 'https://another-issuer.example/' }),
  },
  audience: {
    label: 'A token for another API',
    sends: 'your access token with another “aud”',
    make: ({ accessToken }) => changed(accessToken, { aud: 'https://another-api.example/' }),
  },
  id_token: {
    label: 'The ID token',
    sends: 'your ID token, genuine, but meant for this app and not for the API',
    make: ({ idToken }) => bearer(idToken),
  },
  query: {
    label: 'A token in the URL',
    sends:
      'access_token in the query, where logs and histories would keep it (the one sent is made up)',
    make: () => ({ headers: {}, query: { access_token: 'made-up' } }),
  },
} as const satisfies Record<string, Attempt>;

export type AttemptName = keyof typeof ATTEMPTS;

export function isAttempt(name: string): name is AttemptName {
  return Object.hasOwn(ATTEMPTS, name);
}

function breakSignature(token: string): string {
  const at = token.lastIndexOf('.') + 10;
  return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
}

function changed(token: string, claims: Record<string, unknown>): Wrong | undefined {
  const parsed = takeApart(token);
  if (!parsed) return undefined;
  const [header, , signature] = token.split('.');
  const payload = Buffer.from(JSON.stringify({ ...parsed.claims, ...claims })).toString(
    'base64url',
  );
  return bearer(`${header}.${payload}.${signature}`);
}
