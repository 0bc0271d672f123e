import type { VNode } from 'preact';
import { type ApiAnswer, ATTEMPTS, type Attempt } from './attempts.ts';

/** What a button of the page did. */
export type Outcome =
  | { kind: 'refreshed'; asked: string; granted: string; isNarrow: boolean }
  | { kind: 'not_granted'; scope: string }
  | { kind: 'tried'; attempt: Attempt; answer: ApiAnswer | undefined }
  | { kind: 'ended'; count: number };

/** What the button did that led here. */
export function OutcomeNotice({ outcome }: { outcome: Outcome }): VNode {
  switch (outcome.kind) {
    case 'refreshed':
      return <Refreshed {...outcome} />;
    case 'not_granted':
      return (
        <div class="notice bad" role="alert">
          <h2>That scope was never granted</h2>
          <p>
            A refresh can only ask for what the sign-in was granted (RFC 6749 §6):{' '}
            <code>{outcome.scope}</code> is not among it.
          </p>
        </div>
      );
    case 'ended':
      return (
        <p class="notice good" role="status">
          {outcome.count === 1 ? 'One session was ended.' : `${outcome.count} sessions were ended.`}
        </p>
      );
    case 'tried':
      return <Tried {...outcome} />;
  }
}

function Refreshed({ asked, granted, isNarrow }: Extract<Outcome, { kind: 'refreshed' }>) {
  return (
    <div class="notice good" role="status">
      <h2>{isNarrow ? 'A second access token, for less' : 'A new access token'}</h2>
      <p>
        Asked for <code>{asked}</code>, granted <code>{granted}</code>.
        {isNarrow && ' It is kept beside the one below, which stays as it is.'}
      </p>
    </div>
  );
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
        <p>There was no answer: the API is down, or your access token is no JWT to be changed.</p>
      )}
    </div>
  );
}

interface AttemptsProps {
  readonly apiBaseURL: string;
  readonly accessToken: string;
}

/** Calls to the API that must fail, and one that works. */
export function Attempts({ apiBaseURL, accessToken }: AttemptsProps): VNode {
  const command = `curl -i -H 'Authorization: Bearer ${accessToken}' ${apiBaseURL}/contacts`;
  return (
    <section class="card" aria-labelledby="attempts-heading">
      <h3 id="attempts-heading">See the API refuse</h3>
      <p>Each button calls the API in a wrong way and shows the answer, word for word.</p>
      <div class="attempts">
        {Object.entries(ATTEMPTS).map(([name, { label }]) => (
          <form key={name} method="post" action="/session/try">
            <input type="hidden" name="attempt" value={name} />
            <button class="quiet" type="submit">
              {label}
            </button>
          </form>
        ))}
      </div>
      <details>
        <summary>The right way, for a terminal</summary>
        <pre class="command">
          <code id="command">{command}</code>
        </pre>
        <button class="quiet" type="button" data-copies="command" hidden>
          Copy
        </button>
      </details>
      <p class="hint">
        Tokens are shown to developers, as <code>SHOW_TOKENS</code> has it. In production this page
        shows claims only.
      </p>
    </section>
  );
}
