import type { VNode } from 'preact';
import { explainClaim, writeClaim } from '../../session/claim-text.ts';
import type { UnverifiedToken } from '../../session/unverified-token.ts';

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
