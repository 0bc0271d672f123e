import type { Api } from '@koa-oauth/client';
import { z } from 'zod';

/** An operation of the API and what it takes. */
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
 * What each route of the API needs, as its OpenAPI document says.
 *
 * @returns undefined when the API does not give the document out right now
 */
export async function listApiRoutes(api: Api): Promise<readonly ApiRoute[] | undefined> {
  try {
    const { paths } = Document.parse((await api.get('openapi.json')).body);
    return Object.entries(paths).flatMap(([path, operations]) =>
      METHODS.filter((method) => method in operations)
        .map((method) => readRoute(method, path, operations[method]))
        .filter((route) => route !== undefined),
    );
  } catch {
    return undefined;
  }
}

function readRoute(method: string, path: string, operation: unknown): ApiRoute | undefined {
  const { data } = Operation.safeParse(operation);
  // Routes that take no token say nothing about this one.
  if (!data || data.security.length === 0) return undefined;
  const [scope] = data.security.flatMap((scheme) => Object.values(scheme).flat());
  const role = data['x-required-role'];
  return { method: method.toUpperCase(), path, summary: data.summary, scope, role };
}
