import type { Proofs } from '@koa-oauth/client';
import type { ComponentChildren, VNode } from 'preact';
import { type ApiAnswer, ATTEMPTS, type Attempt } from './attempts.ts';

/** Result of a button of the page. */
export type Outcome =
  | { kind: 'refreshed'; asked: string; granted: string; isNarrow: boolean }
  | { kind: 'not_granted'; scope: string }
  | { kind: 'tried'; attempt: Attempt; answer: ApiAnswer | undefined }
  | { kind: 'ended'; count: number };

/** Shows the result of the last button. Its place is below the button, whose form leads to `#answer`. */
export function OutcomeNotice({ outcome }: { outcome: Outcome }): VNode {
  switch (outcome.kind) {
    case 'refreshed':
      return (
        <div class="notice good" role="status" id="answer">
          <h2>
            {outcome.isNarrow ? 'A second access token, with fewer scopes' : 'A new access token'}
          </h2>
          {outcome.isNarrow && <p>The token on this page has not changed.</p>}
          <dl class="answer">
            <dt>Requested</dt>
            <dd>
              <code>{outcome.asked}</code>
            </dd>
            <dt>Granted</dt>
            <dd>
              <code>{outcome.granted}</code>
            </dd>
          </dl>
        </div>
      );
    case 'not_granted':
      return (
        <div class="notice bad" role="alert" id="answer">
          <h2>That scope was never granted</h2>
          <p>
            A refresh can request only granted scopes (RFC 6749 §6). <code>{outcome.scope}</code>{' '}
            was not granted.
          </p>
        </div>
      );
    case 'ended':
      return (
        <p class="notice good" role="status" id="answer">
          {outcome.count === 1 ? 'One session was ended.' : `${outcome.count} sessions were ended.`}
        </p>
      );
    case 'tried':
      return <Tried {...outcome} />;
  }
}

function Tried({ attempt, answer }: Extract<Outcome, { kind: 'tried' }>) {
  return (
    <div class={answer ? 'notice plain' : 'notice bad'} role="status" id="answer">
      <h2>{attempt.label}</h2>
      <p>{`Sent: GET /contacts with ${attempt.sends}.`}</p>
      {answer ? (
        <dl class="answer">
          <dt>Status</dt>
          <dd>
            <code>{answer.status}</code>
          </dd>
          <dt>WWW-Authenticate</dt>
          <dd>
            <code>{answer.challenge ?? 'none'}</code>
          </dd>
          <dt>Body</dt>
          <dd>
            <code>{answer.body}</code>
          </dd>
        </dl>
      ) : (
        <p>There was no answer. The API is down, or your access token is not a JWT.</p>
      )}
    </div>
  );
}

interface AttemptsProps {
  readonly apiBaseURL: string;
  readonly accessToken: string;
  /** Undefined for bearer tokens. */
  readonly proofs: Proofs | undefined;
  /** Result of the last button. */
  readonly children: ComponentChildren;
}

/** Calls to the API that must fail, and one that works. */
export function Attempts({ apiBaseURL, accessToken, proofs, children }: AttemptsProps): VNode {
  const url = `${apiBaseURL}/contacts`;
  const proof = proofs && ` -H 'DPoP: ${proofs.create({ method: 'GET', url, accessToken })}'`;
  const scheme = proofs ? 'DPoP' : 'Bearer';
  const command = `curl -i -H 'Authorization: ${scheme} ${accessToken}'${proof ?? ''} ${url}`;
  const attempts: [string, Attempt][] = Object.entries(ATTEMPTS);
  const offered = attempts.filter(([, { isAboutProofs }]) => proofs || !isAboutProofs);
  return (
    <section class="card" aria-labelledby="attempts-heading">
      <h3 id="attempts-heading">See the API refuse</h3>
      <p>Each button calls the API in a wrong way and shows the answer, word for word.</p>
      <div class="attempts">
        {offered.map(([name, { label }]) => (
          <form key={name} method="post" action="/session/try#answer">
            <input type="hidden" name="attempt" value={name} />
            <button class="quiet" type="submit">
              {label}
            </button>
          </form>
        ))}
      </div>
      {children}
      <details>
        <summary>
          {proofs ? 'The right way, for a terminal, once' : 'The right way, for a terminal'}
        </summary>
        <pre class="command">
          <code id="command">{command}</code>
        </pre>
        <button class="quiet" type="button" data-copies="command" hidden>
          Copy
        </button>
      </details>
      <p class="hint">
        Developers see tokens because of <code>SHOW_TOKENS</code>. In production this page shows
        only claims.
      </p>
    </section>
  );
}
