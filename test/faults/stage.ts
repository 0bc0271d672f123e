import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../support/services.ts';
import { IssuerControl } from './issuer-control.ts';
import { OwnPostgres, postgresPrograms } from './postgres.ts';
import { hasRedis, OwnRedis } from './redis.ts';
import { Secrets } from './secrets.ts';
import { ServiceProcess } from './service-process.ts';
import { SmallDisk } from './small-disk.ts';
import { copyTenant } from './tenant.ts';
import { Wire } from './wire.ts';

/** Everything that runs: services for users and callers, and targets of the faults. */
export interface Stage {
  /** Origins, without a slash at their end. */
  readonly web: string;
  readonly api: string;
  /** Origin of the issuer. Its identifier has a slash at the end. */
  readonly issuer: string;
  /** Origin of the web app with sessions on the small disk, if there is one. */
  readonly fileWeb: string | undefined;
  readonly fileWebProcess: ServiceProcess | undefined;
  readonly issuerProcess: ServiceProcess;
  readonly apiProcesses: readonly [ServiceProcess, ServiceProcess];
  readonly webProcesses: readonly [ServiceProcess, ServiceProcess];
  readonly control: IssuerControl;
  readonly redis: OwnRedis;
  readonly postgres: OwnPostgres;
  readonly disk: SmallDisk | undefined;
  readonly secrets: Secrets;
  /** Returns the processes that a load balancer skips. */
  unwell(): string[];
  /** Returns the output of each service, by its name. */
  logs(): Map<string, string>;
  stop(): Promise<void>;
}

const LIMITS = { RATE_LIMIT: '1000000', RATE_LIMIT_REFUSED: '1000000' };

/** @throws Error that names a missing program */
export async function openStage(): Promise<Stage> {
  const programs = postgresPrograms();
  if (programs === undefined) throw new Error('there is no PostgreSQL in /usr/lib/postgresql');
  if (!hasRedis()) throw new Error('there is no redis-server');
  const folder = await mkdtemp(join(tmpdir(), 'faults-'));
  const inFolder = (name: string) => {
    mkdirSync(join(folder, name));
    return join(folder, name);
  };
  const [postgresPort, redisPort, issuerPort, ...ports] = (await freePorts(8)) as [
    number,
    number,
    number,
    ...number[],
  ];
  const [api1, api2, web1, web2, fileWebPort] = ports as [number, number, number, number, number];
  const secret = randomBytes(32).toString('base64url');
  const secrets = new Secrets([
    { kind: 'client secret', value: 'contacts-web-demo-secret' },
    { kind: 'client secret', value: 'contacts-cli-demo-secret' },
    { kind: 'password', value: 'alice-demo' },
    { kind: 'password', value: 'bob-demo' },
    { kind: 'password', value: 'carol-demo' },
    { kind: 'secret of the web app', value: secret },
  ]);
  const onText = (text: string) => secrets.learn(text);

  const closing: (() => unknown)[] = [];
  const stop = async () => {
    for (const close of closing.reverse()) await close();
    await rm(folder, { recursive: true, force: true });
  };
  const opened = async <T extends { close(): Promise<void> }>(opening: Promise<T>): Promise<T> => {
    const one = await opening;
    closing.push(() => one.close());
    return one;
  };
  try {
    const postgres = new OwnPostgres(programs, postgresPort);
    const redis = new OwnRedis(redisPort, inFolder('redis'));
    closing.push(
      () => postgres.remove(),
      () => redis.end(),
    );
    await Promise.all([postgres.make(), redis.start()]);
    const disk = SmallDisk.mount(join(folder, 'disk'));
    if (disk) closing.push(() => disk.unmount());

    const issuerWire = await opened(Wire.open({ targets: [issuerPort], onText }));
    const apiWire = await opened(
      Wire.open({ targets: [api1, api2], healthPath: '/readyz', onText }),
    );
    const webWire = await opened(
      Wire.open({ targets: [web1, web2], healthPath: '/healthz', onText }),
    );
    const fileWebWire = disk && (await opened(Wire.open({ targets: [fileWebPort], onText })));
    const [issuer, api, web] = [issuerWire, apiWire, webWire].map(
      ({ port }) => `http://localhost:${port}`,
    ) as [string, string, string];
    const fileWeb = fileWebWire && `http://localhost:${fileWebWire.port}`;

    const ISSUER_BASE_URL = `${issuer}/`;
    const tenant = await copyTenant(folder, fileWeb ? [web, fileWeb] : [web]);
    const issuerProcess = new ServiceProcess({
      name: 'issuer',
      main: 'authorization-server',
      port: issuerPort,
      folder: inFolder('issuer'),
      environment: {
        ISSUER: ISSUER_BASE_URL,
        TENANT: tenant,
        STATE: 'file:state.db',
        KEYS: 'file:keys.json',
        CONTROL: '0',
      },
    });
    const apiProcess = (name: string, port: number) =>
      new ServiceProcess({
        name,
        main: 'contacts-api',
        port,
        folder: inFolder(name),
        environment: {
          ...LIMITS,
          BASE_URL: api,
          ISSUER_BASE_URL,
          DATABASE_URL: postgres.url,
          STORE_URL: redis.url,
        },
      });
    const webProcess = (name: string, port: number, baseURL: string, sessionStoreURL: string) =>
      new ServiceProcess({
        name,
        main: 'contacts-web',
        port,
        folder: inFolder(name),
        environment: {
          BASE_URL: baseURL,
          ISSUER_BASE_URL,
          API_BASE_URL: api,
          SECRET: secret,
          SESSION_STORE_URL: sessionStoreURL,
        },
      });
    const apiProcesses = [apiProcess('api 1', api1), apiProcess('api 2', api2)] as const;
    const webProcesses = [
      webProcess('web 1', web1, web, redis.url),
      webProcess('web 2', web2, web, redis.url),
    ] as const;
    const all = [issuerProcess, ...apiProcesses, ...webProcesses];
    const url = disk && `file:${join(disk.folder, 'sessions.db')}`;
    const fileWebProcess =
      url && fileWeb ? webProcess('web on a small disk', fileWebPort, fileWeb, url) : undefined;
    if (fileWebProcess) all.push(fileWebProcess);
    for (const service of all) closing.push(() => service.end());
    await Promise.all(all.map((service) => service.start()));

    const control = new IssuerControl(issuerProcess);
    const unwell = () => {
      const ports = [...apiWire.unwell, ...webWire.unwell];
      return all.filter(({ port }) => ports.includes(port)).map(({ name }) => name);
    };
    const logs = () => new Map(all.map((service) => [service.name, service.printed()]));
    return {
      ...{ web, api, issuer, fileWeb, fileWebProcess, issuerProcess, apiProcesses, webProcesses },
      ...{ control, redis, postgres, disk, secrets, unwell, logs, stop },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
