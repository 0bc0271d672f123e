import type { VNode } from 'preact';
import { ATTEMPTS } from '../../session/broken-tokens.ts';

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
