import { parseURL } from '@koa-oauth/service';
import type { ComponentChildren, VNode } from 'preact';
import type { UnverifiedToken } from './attempts.ts';

interface TokenCardProps {
  readonly kind: Kind;
  /** Undefined for a token that is no JWT. */
  readonly token: UnverifiedToken | undefined;
  /** The encoded token, in development only. */
  readonly raw?: string | undefined;
  readonly children?: ComponentChildren;
}

type Kind = 'id_token' | 'access_token' | 'proof';

const TITLES = {
  id_token: 'ID token',
  access_token: 'Access token',
  proof: 'A proof for GET /contacts',
} as const;
const TEXTS = {
  id_token:
    'For this app. It says who you are. The app checked its signature and the marked claims before it signed you in.',
  access_token:
    'For the API. It says what is allowed. This app decodes it only to show it to you. The API checks its signature and the marked claims on every call.',
  proof:
    'Made for this page, like the proof of each call. The app signs it with the key of your session, so a copied access token is useless without that key (DPoP, RFC 9449).',
} as const;

/** Shows the claims of a token, with their meaning and the checks that they passed. */
export function TokenCard({ kind, token, raw, children }: TokenCardProps): VNode {
  return (
    <section class="card token" aria-labelledby={`${kind}-heading`}>
      <h3 id={`${kind}-heading`}>{TITLES[kind]}</h3>
      <p>{TEXTS[kind]}</p>
      {children}
      {token ? (
        <dl class="parameters">
          {Object.entries(token.claims).map(([name, value]) => {
            const { meaning, check } = explainClaim(kind, name);
            return (
              <div key={name}>
                <dt>
                  <code>{name}</code>
                </dt>
                <dd>
                  <span class="value">{writeClaim(name, value)}</span>
                  <small>
                    {meaning}
                    {check && <span class="check">{` Checked: ${check}.`}</span>}
                  </small>
                </dd>
              </div>
            );
          })}
        </dl>
      ) : (
        <p class="hint">It is not a JWT: only its issuer can read it.</p>
      )}
      {token && Object.keys(token.header).length > 0 && (
        <p class="where">
          Header: <code>{JSON.stringify(token.header)}</code>
        </p>
      )}
      {raw && (
        <details>
          <summary>As it is sent</summary>
          <code class="raw">{raw}</code>
        </details>
      )}
    </section>
  );
}

/** Meaning of a claim, and its check. */
interface ClaimText {
  readonly meaning: string;
  /** Check that the claim passed, if any. */
  readonly check?: string;
}

const BOTH: Readonly<Record<string, ClaimText>> = {
  sub: { meaning: 'Your id at the issuer. Together with “iss” it names one user.' },
  sid: { meaning: 'Your session at the issuer. A logout there can name it.' },
  jti: { meaning: 'The id of this token.' },
};

const ID_TOKEN: Readonly<Record<string, ClaimText>> = {
  iss: { meaning: 'The issuer.', check: 'is the issuer of this app' },
  aud: { meaning: 'The receiver: this app.', check: 'names this app’s client id' },
  azp: { meaning: 'The app it was issued to.', check: 'is this app' },
  exp: { meaning: 'The end of its validity.', check: 'had not passed' },
  iat: { meaning: 'The time of issue.', check: 'was recent, and not in the future' },
  nonce: { meaning: 'The nonce of the request.', check: 'is the nonce of this sign-in' },
  at_hash: { meaning: 'Half of the access token’s hash.', check: 'fits the access token' },
  auth_time: { meaning: 'The time of your sign-in at the issuer.', check: 'is recent enough' },
  acr: { meaning: 'The strength of the sign-in.' },
  amr: { meaning: 'The methods of the sign-in.' },
  name: { meaning: 'From the scope profile.' },
  given_name: { meaning: 'From the scope profile.' },
  family_name: { meaning: 'From the scope profile.' },
  nickname: { meaning: 'From the scope profile.' },
  picture: { meaning: 'From the scope profile.' },
  updated_at: { meaning: 'From the scope profile.' },
  email: { meaning: 'From the scope email.' },
  email_verified: { meaning: 'True if the issuer knows that the address is yours.' },
};

const ACCESS_TOKEN: Readonly<Record<string, ClaimText>> = {
  iss: { meaning: 'The issuer.', check: 'is the issuer that the API trusts' },
  aud: { meaning: 'The receiver: the API.', check: 'names the API' },
  exp: { meaning: 'The end of its validity.', check: 'has not passed' },
  iat: { meaning: 'The time of issue.', check: 'is not in the future' },
  nbf: { meaning: 'The start of its validity.', check: 'is not in the future' },
  azp: { meaning: 'The app it was issued to.' },
  client_id: { meaning: 'The app it was issued to.' },
  scope: { meaning: 'The granted scopes.', check: 'contains the scope of the route' },
  permissions: { meaning: 'Everything that your roles allow, requested or not.' },
  gty: { meaning: 'The grant that it was issued for.' },
  cnf: {
    meaning: 'The thumbprint of the key that it is bound to.',
    check: 'is the key of the proof in the same request',
  },
};

const PROOF: Readonly<Record<string, ClaimText>> = {
  jti: { meaning: 'The id of this proof.', check: 'was not used before' },
  htm: { meaning: 'The method of the request.', check: 'is the method' },
  htu: { meaning: 'The address of the request.', check: 'is the address, without its query' },
  iat: { meaning: 'The time of the proof.', check: 'is about now' },
  ath: { meaning: 'The hash of the access token.', check: 'fits the token in the same request' },
  nonce: { meaning: 'From the API’s last answer.', check: 'is one of the API’s, and recent' },
};

const OF_KIND = { id_token: ID_TOKEN, access_token: ACCESS_TOKEN, proof: PROOF } as const;

/** Explains a claim. A name that is a URL belongs to the owner of that URL. */
function explainClaim(token: Kind, name: string): ClaimText {
  const texts: Readonly<Record<string, ClaimText>> = { ...BOTH, ...OF_KIND[token] };
  if (Object.hasOwn(texts, name)) return texts[name] as ClaimText;
  if (!parseURL(name)) return { meaning: 'A claim of this issuer.' };
  if (token === 'access_token' && name.endsWith('/org_id')) {
    const meaning = 'A custom claim: whose contacts you see.';
    return { meaning, check: 'is a text; only contacts of this organization are shown' };
  }
  return { meaning: 'A custom claim, added by an Action of the tenant.' };
}

const TIMES = new Set(['exp', 'iat', 'nbf', 'auth_time']);

/** Formats the value of a claim, and adds the date to a time. */
function writeClaim(name: string, value: unknown): string {
  if (TIMES.has(name) && typeof value === 'number' && Number.isFinite(value)) {
    const date = new Date(value * 1000);
    if (!Number.isNaN(date.getTime())) return `${value} (${date.toISOString()})`;
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}
