import type { PostLoginEvent } from '../../src/actions/login-event.ts';
import type { ActionLog } from '../../src/actions/run.ts';
import type { User } from '../../src/index.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';

/** A login of Alice in the demo tenant, as an Action receives it. */
export const aliceLogin: PostLoginEvent = {
  user: loadTenant(demoTenantFile).users[0] as User,
  client: { client_id: 'contacts-web', name: 'Contacts', metadata: {} },
  connection: { id: 'con_local', name: 'db', strategy: 'auth0' },
  authorization: { roles: ['admin'] },
  authentication: { methods: [{ name: 'pwd', timestamp: '2026-01-01T00:00:00.000Z' }] },
  stats: { logins_count: 3 },
  resource_server: { identifier: 'https://contacts.example.com/api' },
  tenant: { id: 'dev' },
  transaction: { protocol: 'oidc-basic-profile', requested_scopes: ['openid'], acr_values: [] },
  request: {
    ip: '127.0.0.1',
    method: 'GET',
    user_agent: 'test',
    query: { audience: 'https://contacts.example.com/api' },
    body: {},
  },
};

export interface Line {
  level: string;
  fields: Record<string, unknown>;
  message: string;
}

/** A log that keeps its lines. */
export function recorder(): ActionLog & { lines: Line[] } {
  const lines: Line[] = [];
  const write = (level: string) => (fields: object, message: string) => {
    lines.push({ level, fields: { ...fields }, message });
  };
  return { lines, warn: write('warn'), info: write('info') };
}
