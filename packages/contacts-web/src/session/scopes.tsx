import type { AccessToken } from '@koa-oauth/client';
import type { ComponentChildren, VNode } from 'preact';

interface ScopesProps extends Pick<AccessToken, 'scope' | 'requestedScope' | 'expiresAt'> {
  readonly hasRefreshToken: boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Result of the last button. */
  readonly children: ComponentChildren;
}

/** Shows requested and granted scopes, the expiry, and the two ways to refresh, if there are any. */
export function Scopes(props: ScopesProps): VNode {
  const { scope, requestedScope, expiresAt, hasRefreshToken, now, children } = props;
  const granted = scope.split(' ').filter(Boolean);
  return (
    <section class="card" aria-labelledby="scopes-heading">
      <h3 id="scopes-heading">Scopes, and how long they last</h3>
      <ScopeTable requested={requestedScope.split(' ').filter(Boolean)} granted={granted} />
      {expiresAt !== undefined && (
        <p>
          The access token expires in{' '}
          <time dateTime={new Date(expiresAt * 1000).toISOString()} data-expires={expiresAt}>
            {duration(Math.max(0, Math.round(expiresAt - now / 1000)))}
          </time>
          . {hasRefreshToken ? 'The app renews it shortly before.' : 'Then you sign in again.'}
        </p>
      )}
      {hasRefreshToken ? (
        <RefreshButtons granted={granted} />
      ) : (
        <p class="hint">
          This session has no refresh token. An app gets one for the scope{' '}
          <code>offline_access</code>, if the issuer and the API allow it.
        </p>
      )}
      {children}
    </section>
  );
}

interface ScopeTableProps {
  readonly requested: readonly string[];
  readonly granted: readonly string[];
}

function ScopeTable({ requested, granted }: ScopeTableProps) {
  return (
    <table class="scopes">
      <thead>
        <tr>
          <th scope="col">Scope</th>
          <th scope="col">Requested</th>
          <th scope="col">Granted</th>
        </tr>
      </thead>
      <tbody>
        {[...new Set([...requested, ...granted])].map((one) => (
          <tr key={one}>
            <th scope="row">
              <code>{one}</code>
            </th>
            <td>{requested.includes(one) ? 'yes' : 'no'}</td>
            <td>{granted.includes(one) ? 'yes' : 'no'}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Buttons to refresh for all scopes, or for one of the API's. */
function RefreshButtons({ granted }: Pick<ScopeTableProps, 'granted'>) {
  const scopesOfAPI = granted.filter((one) => one.includes(':'));
  return (
    <div class="actions">
      <form method="post" action="/session/refresh#answer">
        <button type="submit">Refresh now</button>
      </form>
      {scopesOfAPI.length > 0 && (
        <form class="inline-form" method="post" action="/session/refresh#answer">
          <label for="narrow">Only for</label>
          <select id="narrow" name="scope">
            {scopesOfAPI.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
          <button class="quiet" type="submit">
            Refresh for less
          </button>
        </form>
      )}
    </div>
  );
}

/** Formats seconds: 3,725 is "1 h 2 min 5 s". */
function duration(seconds: number): string {
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first === -1) return '0 s';
  return parts
    .slice(first)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}
