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
  const skip_non_verifiable_callback_uri_confirmation_prompt = true;
  const settings = { ...demo.tenant, skip_non_verifiable_callback_uri_confirmation_prompt };
  const tenant = { ...demo, tenant: settings, resourceServers };
  return startAuthorizationServer({ tenant, keys: `file:${keysFile}` });
};
