import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { demoTenantFile } from '@koa-oauth/authorization-server';
import { GracefulServer, InvalidSettings, port, StartError } from '@koa-oauth/service';

/** Settings of `npm start` and `npm run dev` for the ports, with their defaults. */
export const DEFAULT_PORTS = { WEB_PORT: 3000, API_PORT: 3001, ISSUER_PORT: 3002 };

type PortName = keyof typeof DEFAULT_PORTS;

/** Ports of the three services. */
export type Ports = Readonly<Record<PortName, number>>;

/** Reads the ports of the three services. @throws InvalidSettings that names every wrong port */
export function readPorts(environment: NodeJS.ProcessEnv): Ports {
  const faults: string[] = [];
  const read = (name: PortName): number => {
    const given = environment[name]?.trim() || undefined;
    const { data, error } = port(1).default(DEFAULT_PORTS[name]).safeParse(given);
    if (error) faults.push(`${name} ${error.issues[0]?.message}`);
    return data ?? DEFAULT_PORTS[name];
  };
  const ports = {
    WEB_PORT: read('WEB_PORT'),
    API_PORT: read('API_PORT'),
    ISSUER_PORT: read('ISSUER_PORT'),
  };
  if (faults.length > 0) throw new InvalidSettings(faults);
  return ports;
}

/**
 * Checks that all ports are free. A service could only name its own setting, `PORT`, which `npm start`
 * ignores.
 *
 * @throws StartError that names the setting of each port that is in use
 */
export async function checkPorts(ports: Ports): Promise<void> {
  const servers = Object.entries(ports).map(async ([name, number]) => {
    const server = new GracefulServer();
    await server.start(number, '127.0.0.1', name);
    return server;
  });
  const started = await Promise.allSettled(servers);
  const faults: string[] = [];
  for (const result of started) {
    if (result.status === 'fulfilled') await result.value.stop(0);
    else faults.push((result.reason as Error).message);
  }
  if (faults.length > 0) throw new StartError('EADDRINUSE', faults.join('\n'));
}

/** Returns the environment of each service. An address that the user set has precedence. */
export function environmentsOf(
  ports: Ports,
  shared: NodeJS.ProcessEnv,
): Readonly<Record<string, NodeJS.ProcessEnv>> {
  const ISSUER_BASE_URL = shared.ISSUER_BASE_URL || localURL(ports.ISSUER_PORT);
  const API_BASE_URL = shared.API_BASE_URL || localURL(ports.API_PORT);
  const TENANT = prepareTenantFile(ports, shared);
  // `DPOP` has other values in each app. The default of the API accepts bound and unbound tokens.
  const { DPOP, ...rest } = shared;
  const ofWeb = DPOP === 'required' ? 'true' : DPOP === 'allowed' ? undefined : DPOP;
  const ofAPI = DPOP === 'true' || DPOP === 'false' ? undefined : DPOP;
  return {
    issuer: { ...shared, PORT: String(ports.ISSUER_PORT), TENANT },
    api: { ...rest, ...(ofAPI && { DPOP: ofAPI }), PORT: String(ports.API_PORT), ISSUER_BASE_URL },
    web: {
      ...rest,
      ...(ofWeb && { DPOP: ofWeb }),
      PORT: String(ports.WEB_PORT),
      ISSUER_BASE_URL,
      API_BASE_URL,
    },
  };
}

/** Returns the address of a service on this machine. */
export function localURL(number: number): string {
  return `http://localhost:${number}`;
}

/**
 * Returns the tenant file: the user's, the demo tenant, or for other ports a copy of the demo tenant
 * whose callbacks and logout addresses are at these ports. Each call writes the copy again.
 */
export function prepareTenantFile(ports: Ports, { TENANT }: NodeJS.ProcessEnv): string {
  if (TENANT) return TENANT;
  const { WEB_PORT, API_PORT } = ports;
  const moved = new Map([
    [String(DEFAULT_PORTS.WEB_PORT), WEB_PORT],
    [String(DEFAULT_PORTS.API_PORT), API_PORT],
  ]);
  if ([...moved].every(([before, after]) => before === String(after))) return demoTenantFile;
  const folder = join('data', `tenant-${WEB_PORT}-${API_PORT}`);
  const file = join(folder, 'tenant.yaml');
  const text = readFileSync(demoTenantFile, 'utf8');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  cpSync(dirname(demoTenantFile), folder, { recursive: true });
  writeFileSync(
    file,
    text.replace(
      /((?:localhost|127\.0\.0\.1):)(\d+)/g,
      (_, host, before) => `${host}${moved.get(before) ?? before}`,
    ),
  );
  return file;
}
