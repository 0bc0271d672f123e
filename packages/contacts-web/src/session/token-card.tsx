import type { VNode } from 'preact';
import type { UnverifiedToken } from './attempts.ts';

interface TokenCardProps {
  readonly kind: 'id_token' | 'access_token';
  /** Undefined for a token that is no JWT. */
  readonly token: UnverifiedToken | undefined;
  /** As it is, in development only. */
  readonly raw?: string | undefined;
}

const TITLES = { id_token: 'ID token', access_token: 'Access token' } as const;
const TEXTS = {
  id_token:
    'For this app: it says who you are. Its signature and each claim marked below were checked before you were signed in.',
  access_token:
    'For the API: it says what may be done. To this app it is opaque; it is taken apart here for you to see. The API checks its signature and each claim marked below, on every call.',
} as const;

/** One token's claims, each with what it means and which check it passed. */
export function TokenCard({ kind, token, raw }: TokenCardProps): VNode {
  return (
    <section class="card token" aria-labelledby={`${kind}-heading`}>
      <h3 id={`${kind}-heading`}>{TITLES[kind]}</h3>
      <p>{TEXTS[kind]}</p>
      {token ? (
        <dl class="parameters">
          {Object.entries(token.claims).map(([name, value]) => (
            <Claim key={name} kind={kind} name={name} value={value} />
          ))}
        </dl>
      ) : (
        <p class="hint">
          It is no JWT, so there is nothing to take apart: only its issuer can read it.
        </p>
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

function Claim({
  kind,
  name,
  value,
}: {
  kind: TokenCardProps['kind'];
  name: string;
  value: unknown;
}) {
  const { meaning, check } = explainClaim(kind, name);
  return (
    <div>
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
}

/** What a claim says, and who checked what about it. */
interface ClaimText {
  readonly meaning: string;
  /** What was checked before the token was accepted; undefined when there is nothing to check. */
  readonly check?: string;
}

const BOTH: Readonly<Record<string, ClaimText>> = {
  sub: { meaning: 'You, as the issuer knows you. Together with “iss” it names one user.' },
  sid: { meaning: 'Your session at the issuer: a logout there can name it.' },
  jti: { meaning: 'This token’s own name.' },
};

const ID_TOKEN: Readonly<Record<string, ClaimText>> = {
  iss: { meaning: 'Who issued it.', check: 'is the issuer that this app is set up for' },
  aud: { meaning: 'Whom it is for: this app.', check: 'names this app’s client id' },
  azp: { meaning: 'The app it was issued to.', check: 'is this app' },
  exp: { meaning: 'When it ends.', check: 'had not passed' },
  iat: { meaning: 'When it was issued.', check: 'was a moment ago, not in the future' },
  nonce: { meaning: 'The nonce of the request.', check: 'is the one this sign-in was begun with' },
  at_hash: { meaning: 'Half of the access token’s hash.', check: 'fits the access token' },
  auth_time: { meaning: 'When you typed your password.', check: 'is as recent as was asked for' },
  acr: { meaning: 'How strongly you were authenticated.' },
  amr: { meaning: 'How you were authenticated.' },
  name: { meaning: 'From the scope profile.' },
  given_name: { meaning: 'From the scope profile.' },
  family_name: { meaning: 'From the scope profile.' },
  nickname: { meaning: 'From the scope profile.' },
  picture: { meaning: 'From the scope profile.' },
  updated_at: { meaning: 'From the scope profile.' },
  email: { meaning: 'From the scope email.' },
  email_verified: { meaning: 'Whether the issuer knows that the address is yours.' },
};

const ACCESS_TOKEN: Readonly<Record<string, ClaimText>> = {
  iss: { meaning: 'Who issued it.', check: 'is the issuer that the API trusts' },
  aud: { meaning: 'Whom it is for: the API.', check: 'names the API' },
  exp: { meaning: 'When it ends.', check: 'has not passed' },
  iat: { meaning: 'When it was issued.', check: 'is not in the future' },
  nbf: { meaning: 'From when on it counts.', check: 'is not in the future' },
  azp: { meaning: 'The app it was issued to.' },
  client_id: { meaning: 'The app it was issued to.' },
  scope: { meaning: 'What it allows.', check: 'contains what the route needs' },
  permissions: { meaning: 'What your roles allow, whether it was asked for or not.' },
  gty: { meaning: 'By which grant it was got.' },
};

/** Says what a claim is. A name that is a URL belongs to the owner of that URL. */
function explainClaim(token: 'id_token' | 'access_token', name: string): ClaimText {
  const texts = { ...BOTH, ...(token === 'id_token' ? ID_TOKEN : ACCESS_TOKEN) };
  if (Object.hasOwn(texts, name)) return texts[name] as ClaimText;
  const isNamespaced = URL.canParse(name);
  const isOrganisation = isNamespaced && name.endsWith('/org_id');
  if (token === 'access_token' && isOrganisation) {
    const meaning = 'A custom claim: whose contacts you see.';
    return { meaning, check: 'is a text; contacts of no other organisation are shown' };
  }
  if (isNamespaced) return { meaning: 'A custom claim, added by an Action of the tenant.' };
  return { meaning: 'A claim of the issuer’s own.' };
}

const TIMES = new Set(['exp', 'iat', 'nbf', 'auth_time']);

/** A claim's value as a page shows it; times in words too. */
function writeClaim(name: string, value: unknown): string {
  if (TIMES.has(name) && typeof value === 'number' && Number.isFinite(value)) {
    const date = new Date(value * 1000);
    if (!Number.isNaN(date.getTime())) return `${value} (${date.toISOString()})`;
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}
