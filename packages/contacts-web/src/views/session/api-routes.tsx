import type { VNode } from 'preact';
import type { ApiRoute } from '../../session/api-routes.ts';
import type { SignedInUser } from '../../signed-in-user.ts';

interface ApiRoutesProps {
  readonly routes: readonly ApiRoute[] | undefined;
  /** The scopes of the access token, separated by spaces. */
  readonly scope: string;
  readonly user: SignedInUser | undefined;
}

/** What each route of the API needs, and whether this token has it. */
export function ApiRoutes({ routes, scope: scopes, user }: ApiRoutesProps): VNode {
  const granted = scopes.split(' ');
  const roles = user?.roles ?? [];
  const may = ({ scope, role }: ApiRoute) =>
    (scope === undefined || granted.includes(scope)) &&
    (role === undefined || roles.includes(role));
  return (
    <section class="card" aria-labelledby="routes-heading">
      <h3 id="routes-heading">What the API’s routes need</h3>
      {!routes && <p class="hint">The API does not tell right now.</p>}
      {routes && (
        <ul class="routes">
          {routes.map((route) => (
            <li key={`${route.method} ${route.path}`} class={may(route) ? 'may' : 'may-not'}>
              <span>
                <strong>{route.method}</strong> {route.path}
              </span>
              <small>{needs(route)}</small>
              <span class="verdict">{may(route) ? 'this token may' : 'refused'}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function needs({ scope, role }: ApiRoute): string {
  const all = [scope, role && `the role ${role}`].filter(Boolean);
  return all.length > 0 ? `needs ${all.join(' and ')}` : 'needs any valid token';
}
