import { AuthorizationServer, type AuthorizationServerOptions } from '../authorization-server.ts';
import { KeyRing } from '../keys/key-ring.ts';
import { readOptions, serverOptionsSchema } from '../options.ts';
import { demoTenantFile, loadTenant } from '../tenant/load.ts';
import type { Tenant } from '../tenant/tenant.ts';
import { requestTokens, type TokenRequest, type TokenResponse } from './code-flow.ts';
import { createMints, type Mints } from './mint.ts';

/** Options of `startLocalIssuer`: those of `startAuthorizationServer`, the tenant with a default. */
export interface LocalIssuerOptions extends Omit<AuthorizationServerOptions, 'tenant'> {
  /** Path of a tenant file, or what `loadTenant` made of one; default: the demo tenant. */
  readonly tenant?: string | Tenant | undefined;
}

/** An authorization server with what a test needs in addition. */
export interface LocalIssuer extends AuthorizationServer, Mints {
  /** Gets an access token through the code flow. @throws Error with the server's words. */
  tokenFor(request?: TokenRequest): Promise<string>;
  /** Gets all tokens. @throws Error as above. */
  tokensFor(request?: TokenRequest): Promise<TokenResponse>;
}

/**
 * Starts an authorization server for tests.
 *
 * @throws InvalidTenant naming every fault of the tenant file; StartError as `startAuthorizationServer`.
 */
export async function startLocalIssuer(options: LocalIssuerOptions = {}): Promise<LocalIssuer> {
  const { tenant: given = demoTenantFile } = options;
  const tenant = typeof given === 'string' ? loadTenant(given) : given;
  const { keys = 'memory:', ...others } = readOptions(serverOptionsSchema, { ...options, tenant });
  const ring = await KeyRing.open(keys);
  const server = await AuthorizationServer.start(ring, others);
  const tokensFor = (request?: TokenRequest): Promise<TokenResponse> =>
    requestTokens(server.issuer, server.tenant, request);
  // A copy would freeze `clock` and `tenant`, which are accessors of the server.
  return Object.assign(server, {
    tokensFor,
    tokenFor: async (request?: TokenRequest) => (await tokensFor(request)).access_token,
    ...createMints(server, ring),
  });
}
