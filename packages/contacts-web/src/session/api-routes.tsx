import type { Api } from '@koa-oauth/client';
import type { VNode } from 'preact';
import { z } from 'zod';
import type { SignedInUser } from '../signed-in-user.ts';

/** An operation of the API and its needs. */
export interface ApiRoute {
  readonly method: string;
  readonly path: string;
  readonly summary: string;
  readonly scope: string | undefined;
  readonly role: string | undefined;
}

const Operation = z.object({
  summary: z.string().catch(''),
  security: z.array(z.record(z.string(), z.array(z.string()))).catch([]),
  'x-required-role': z.string().optional(),
});
const Document = z.object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) });
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

/**
 * Lists the routes of the API and their needs, from its OpenAPI document.
 *
 * @returns undefined when the document is not available right now
 */
export async function listApiRoutes(api: Api): Promise<readonly ApiRoute[] | undefined> {
  try {
    const { paths } = Document.parse((await api.get('openapi.json')).body);
    return Object.entries(paths).flatMap(([path, operations]) =>
      METHODS.filter((method) => method in operations).flatMap((method) =>
        readRoute(method, path, operations[method]),
      ),
    );
  } catch {
    return undefined;
  }
}

function readRoute(method: string, path: string, operation: unknown): ApiRoute | [] {
  const { data } = Operation.safeParse(operation);
  // Routes that take no token say nothing about this one.
  if (!data || data.security.length === 0) return [];
  const [scope] = data.security.flatMap((scheme) => Object.values(scheme).flat());
  const role = data['x-required-role'];
  return { method: method.toUpperCase(), path, summary: data.summary, scope, role };
}

interface ApiRoutesProps {
  readonly routes: readonly ApiRoute[] | undefined;
  /** The scopes of the access token, separated by spaces. */
  readonly scope: string;
  readonly user: SignedInUser | undefined;
}

/** Shows what each route of the API needs, and whether this token has it. */
export function ApiRoutes({ routes, scope: scopes, user }: ApiRoutesProps): VNode {
  const granted = scopes.split(' ');
  const roles = user?.roles ?? [];
  const may = ({ scope, role }: ApiRoute) =>
    (scope === undefined || granted.includes(scope)) &&
    (role === undefined || roles.includes(role));
  return (
    <section class="card" aria-labelledby="routes-heading">
      <h3 id="routes-heading">What the API’s routes need</h3>
      {!routes && <p class="hint">The API’s list of routes is not available right now.</p>}
      {routes && (
        <ul class="routes">
          {routes.map((route) => (
            <li key={`${route.method} ${route.path}`} class={may(route) ? 'may' : 'may-not'}>
              <span>
                <strong>{route.method}</strong> {route.path}
              </span>
              <small>{`needs ${needsOf(route).join(' and ') || 'any valid token'}`}</small>
              <span class="verdict">{may(route) ? 'allowed' : 'refused'}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function needsOf({ scope, role }: ApiRoute) {
  return [scope, role && `the role ${role}`].filter(Boolean);
}
