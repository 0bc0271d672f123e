import type { ClientMessage, UserSession } from '@koa-oauth/client';
import type { VNode } from 'preact';
import type { SignedInUser } from '../signed-in-user.ts';
import { Layout } from '../views/layout.tsx';
import { type ApiRoute, ApiRoutes } from './api-routes.tsx';
import type { UnverifiedToken } from './attempts.ts';
import { Flow } from './flow.tsx';
import { Attempts, type Outcome, OutcomeNotice } from './outcome.tsx';
import { Scopes } from './scopes.tsx';
import { Sessions } from './sessions.tsx';
import { TokenCard } from './token-card.tsx';

interface AboutAccessToken {
  /** Seconds since 1970; undefined when the authorization server did not say. */
  readonly expiresAt: number | undefined;
  readonly scope: string;
  readonly requestedScope: string;
  /** Undefined for a token that is no JWT. */
  readonly parts: UnverifiedToken | undefined;
}

interface SessionPageProps {
  readonly user: SignedInUser | undefined;
  readonly flow: readonly ClientMessage[];
  readonly idToken: UnverifiedToken;
  readonly accessToken: AboutAccessToken;
  /** The tokens themselves; undefined in production. */
  readonly raw: { idToken: string; accessToken: string } | undefined;
  /** Undefined when the API did not say. */
  readonly routes: readonly ApiRoute[] | undefined;
  readonly sessions: readonly UserSession[];
  readonly apiBaseURL: string;
  readonly outcome: Outcome | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export function SessionPage(props: SessionPageProps): VNode {
  const { user, flow, idToken, accessToken, raw, routes, sessions, apiBaseURL, outcome, now } =
    props;
  const { scope, requestedScope, expiresAt, parts } = accessToken;
  return (
    <Layout title="Your session · Contacts" user={user} current="session">
      <header class="page-heading">
        <h1>Your session</h1>
        <p>How you got here, what this app was given, and what it may do with it.</p>
      </header>
      {outcome && <OutcomeNotice outcome={outcome} />}
      {flow.length > 0 && <Flow flow={flow} />}
      <section aria-labelledby="tokens-heading">
        <h2 id="tokens-heading">What this app was given</h2>
        <div class="side-by-side">
          <TokenCard kind="id_token" token={idToken} raw={raw?.idToken} />
          <TokenCard kind="access_token" token={parts} raw={raw?.accessToken} />
        </div>
      </section>
      <div class="side-by-side">
        <Scopes {...{ scope, requestedScope, expiresAt, now }} />
        <ApiRoutes routes={routes} scope={scope} user={user} />
      </div>
      {raw && <Attempts apiBaseURL={apiBaseURL} accessToken={raw.accessToken} />}
      <Sessions sessions={sessions} now={now} />
    </Layout>
  );
}
