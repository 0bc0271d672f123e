import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  demoTenantFile,
  loadTenant,
  startAuthorizationServer,
  type Tenant,
} from '../../src/index.ts';
import { signingKeys } from './signing-keys.ts';

/** The demo tenant, read once: reading it takes longer than all else of a start. */
const { reload, ...demo } = loadTenant(demoTenantFile);

const running: AuthorizationServer[] = [];

const directory = join(tmpdir(), `demo-server-${randomUUID()}`);

/** A file with keys that were made once. */
function keyFile(): string {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `${randomUUID()}.json`);
  writeFileSync(file, JSON.stringify({ keys: signingKeys }));
  return `file:${file}`;
}

/** Starts the demo tenant, changed, on a free port; `stopServers` ends all that were started. */
export async function startDemo(
  change: (tenant: Tenant) => void = () => {},
  options: Partial<AuthorizationServerOptions> = {},
): Promise<AuthorizationServer> {
  const tenant = { ...structuredClone(demo), reload };
  change(tenant);
  const server = await startAuthorizationServer({ tenant, keys: keyFile(), ...options });
  running.push(server);
  return server;
}

export async function stopServers(): Promise<void> {
  await Promise.all(running.splice(0).map((server) => server.close()));
  rmSync(directory, { recursive: true, force: true });
}

/** A post-login Action with this body of `onExecutePostLogin(event, api)`. */
export function actionOf(body: string, name = 'test'): Tenant['postLogin'][number] {
  const code = `exports.onExecutePostLogin = async (event, api) => { ${body} };`;
  return { name, file: import.meta.filename, code, secrets: { WORD: 'hush' } };
}
