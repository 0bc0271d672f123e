import type { AccessToken, ClientMessage, Proofs, UserSession } from '@koa-oauth/client';
import type { VNode } from 'preact';
import type { SignedInUser } from '../signed-in-user.ts';
import { Layout } from '../views/layout.tsx';
import { type ApiRoute, ApiRoutes } from './api-routes.tsx';
import { decodeUnverified } from './attempts.ts';
import { Flow } from './flow.tsx';
import { Attempts, type Outcome, OutcomeNotice } from './outcome.tsx';
import { Scopes } from './scopes.tsx';
import { Sessions } from './sessions.tsx';
import { TokenCard } from './token-card.tsx';

interface SessionPageProps {
  readonly user: SignedInUser | undefined;
  readonly flow: readonly ClientMessage[];
  readonly idToken: string;
  readonly idTokenClaims: Readonly<Record<string, unknown>>;
  readonly accessToken: AccessToken;
  readonly hasRefreshToken: boolean;
  /** Proofs of the key that the tokens are bound to; undefined for bearer tokens. */
  readonly proofs: Proofs | undefined;
  /** Shows the tokens themselves; false in production. */
  readonly showTokens: boolean;
  /** Undefined when the API did not answer. */
  readonly routes: readonly ApiRoute[] | undefined;
  readonly sessions: readonly UserSession[];
  readonly apiBaseURL: string;
  readonly outcome: Outcome | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export function SessionPage(props: SessionPageProps): VNode {
  const { user, flow, idToken, idTokenClaims, showTokens, hasRefreshToken, proofs } = props;
  const { routes, sessions, outcome, now } = props;
  const { value: accessToken, scope, requestedScope, expiresAt } = props.accessToken;
  const raw = (token: string) => (showTokens ? token : undefined);
  const resultOf = (...kinds: Outcome['kind'][]) =>
    outcome && kinds.includes(outcome.kind) && <OutcomeNotice outcome={outcome} />;
  return (
    <Layout title="Your session · Contacts" user={user} current="session">
      <header class="page-heading">
        <h1>Your session</h1>
        <p>How you got here, what this app was given, and what it may do with it.</p>
      </header>
      {flow.length > 0 && <Flow flow={flow} />}
      <section aria-labelledby="tokens-heading">
        <h2 id="tokens-heading">What this app was given</h2>
        <div class="side-by-side">
          <TokenCard
            kind="id_token"
            token={{ header: {}, claims: idTokenClaims, ...decodeUnverified(idToken) }}
            raw={raw(idToken)}
          />
          <TokenCard
            kind="access_token"
            token={decodeUnverified(accessToken)}
            raw={raw(accessToken)}
          />
        </div>
        {proofs && <Proof {...props} proofs={proofs} />}
      </section>
      <div class="side-by-side">
        <Scopes {...{ scope, requestedScope, expiresAt, hasRefreshToken, now }}>
          {resultOf('refreshed', 'not_granted')}
        </Scopes>
        <ApiRoutes routes={routes} scope={scope} user={user} />
      </div>
      {showTokens && (
        <Attempts apiBaseURL={props.apiBaseURL} accessToken={accessToken} proofs={proofs}>
          {resultOf('tried')}
        </Attempts>
      )}
      <Sessions sessions={sessions} now={now}>
        {resultOf('ended')}
      </Sessions>
    </Layout>
  );
}

/** Shows the thumbprint of the session's key, and the parts of a proof. */
function Proof({
  proofs,
  accessToken: { value: accessToken },
  apiBaseURL,
  showTokens,
}: SessionPageProps & { readonly proofs: Proofs }): VNode {
  const proof = proofs.create({ method: 'GET', url: `${apiBaseURL}/contacts`, accessToken });
  const { cnf } = decodeUnverified(accessToken)?.claims ?? {};
  const isBound = (cnf as { jkt?: unknown } | undefined)?.jkt === proofs.thumbprint;
  return (
    <TokenCard kind="proof" token={decodeUnverified(proof)} raw={showTokens ? proof : undefined}>
      <p>
        {'The key of your session has the thumbprint '}
        <code>{proofs.thumbprint}</code>
        {isBound ? ', which the access token has in “cnf” as “jkt”.' : '.'}
      </p>
    </TokenCard>
  );
}
