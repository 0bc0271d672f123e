import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  demoTenantFile,
  loadTenant,
  startAuthorizationServer,
  type Tenant,
} from '../../src/index.ts';

const running: AuthorizationServer[] = [];

/** Starts the demo tenant, changed, on a free port; `stopServers` ends all that were started. */
export async function startDemo(
  change: (tenant: Tenant) => void = () => {},
  options: Partial<AuthorizationServerOptions> = {},
): Promise<AuthorizationServer> {
  const tenant = loadTenant(demoTenantFile);
  change(tenant);
  const server = await startAuthorizationServer({ tenant, ...options });
  running.push(server);
  return server;
}

export async function stopServers(): Promise<void> {
  await Promise.all(running.splice(0).map((server) => server.close()));
}

/** A post-login Action with this body of `onExecutePostLogin(event, api)`. */
export function actionOf(body: string, name = 'test'): Tenant['postLogin'][number] {
  const code = `exports.onExecutePostLogin = async (event, api) => { ${body} };`;
  return { name, file: import.meta.filename, code, secrets: { WORD: 'hush' } };
}
