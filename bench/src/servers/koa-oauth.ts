import {
  demoTenantFile,
  loadTenant,
  startAuthorizationServer,
} from '@koa-oauth/authorization-server';
import type { StartServer } from './index.ts';

/** The demo tenant with its Action, but for consent, which its API leaves out for its own applications. */
export const koaOauth: StartServer = async (keysFile) => {
  const demo = loadTenant(demoTenantFile);
  const resourceServers = demo.resourceServers.map((api) => ({
    ...api,
    skip_consent_for_verifiable_first_party_clients: true,
  }));
  const tenant = { ...demo, resourceServers };
  return startAuthorizationServer({ tenant, keys: `file:${keysFile}` });
};
