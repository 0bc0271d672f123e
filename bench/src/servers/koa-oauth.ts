import {
  demoTenantFile,
  loadTenant,
  startAuthorizationServer,
} from '@koa-oauth/authorization-server';
import type { StartServer } from './start-server.ts';

/** Runs the demo tenant with its Action, but without the consent of first-party applications. */
export const koaOauth: StartServer = async (keysFile) => {
  const demo = loadTenant(demoTenantFile);
  const resourceServers = demo.resourceServers.map((api) => ({
    ...api,
    skip_consent_for_verifiable_first_party_clients: true,
  }));
  const tenant = { ...demo, resourceServers };
  return startAuthorizationServer({ tenant, keys: `file:${keysFile}` });
};
