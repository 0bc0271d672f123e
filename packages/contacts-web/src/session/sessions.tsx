import type { UserSession } from '@koa-oauth/client';
import type { ComponentChildren, VNode } from 'preact';

interface SessionsProps {
  readonly sessions: readonly UserSession[];
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Result of the last button. */
  readonly children: ComponentChildren;
}

/** Lists the sessions of the user, with buttons to end them. */
export function Sessions({ sessions, now, children }: SessionsProps): VNode {
  return (
    <section class="card" aria-labelledby="sessions">
      <h2 id="sessions">Where you are signed in</h2>
      <ul class="sessions">
        {sessions.map(({ id, userAgent, createdAt, lastSeenAt, current }) => (
          <li key={id}>
            <div>
              <strong>{browserName(userAgent)}</strong>
              {current && <span class="badge">this one</span>}
              <small>{`Signed in ${ago(createdAt, now)}, last seen ${ago(lastSeenAt, now)}`}</small>
            </div>
            {!current && (
              <form method="post" action="/session/end">
                <input type="hidden" name="id" value={id} />
                <button
                  class="quiet"
                  type="submit"
                  aria-label={`End this one: ${browserName(userAgent)}, signed in ${ago(createdAt, now)}`}
                >
                  End this one
                </button>
              </form>
            )}
          </li>
        ))}
      </ul>
      {sessions.length > 1 && (
        <form class="actions" method="post" action="/session/end">
          <input type="hidden" name="id" value="others" />
          <button class="quiet" type="submit">
            End all others
          </button>
        </form>
      )}
      {children}
    </section>
  );
}

function ago(seconds: number, now: number): string {
  const minutes = Math.floor((now / 1000 - seconds) / 60);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ago`;
  return `on ${new Date(seconds * 1000).toISOString().slice(0, 10)}`;
}

const BROWSERS: readonly [pattern: RegExp, name: string][] = [
  [/\bEdg(?:e|A|iOS)?\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\bFirefox\/|\bFxiOS\//, 'Firefox'],
  [/\bChrom(?:e|ium)\/|\bCriOS\/|\bHeadlessChrome\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
];
const SYSTEMS: readonly [pattern: RegExp, name: string][] = [
  [/\bAndroid\b/, 'Android'],
  [/\b(?:iPhone|iPad)\b/, 'iOS'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac OS X\b/, 'macOS'],
  [/\bLinux\b/, 'Linux'],
];

/** Returns a browser's usual name. The header can be anything, so the name decides nothing. */
function browserName(userAgent: string | undefined): string {
  const [browser, system] = [BROWSERS, SYSTEMS].map(
    (names) => names.find(([pattern]) => pattern.test(userAgent ?? ''))?.[1],
  );
  if (browser && system) return `${browser} on ${system}`;
  return browser ?? system ?? 'An unknown browser';
}
