import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startIssuer } from '@koa-oauth/issuer/testing';
import autocannon from 'autocannon';
import type { ContactsVariant } from './apps/index.ts';
import { AUDIENCE, median, Target } from './measure.ts';

const ROUNDS = Number(process.env.ROUNDS ?? 8) * 10;
const WARM_UPS = 10;
/**
 * Many short rounds: what a request costs rises until the collector has gone over the whole heap, each
 * 2000 lists or so. What is compared has to lie close together, or it meets always the same part of that.
 */
const PATHS = [
  { path: '/contacts', perRound: 100 },
  { path: '/me', perRound: 300 },
];
const CONTACTS = 50;

const CONNECTIONS = 16;
const SECONDS = 3;
const THROUGHPUT_ROUNDS = 4;
/** How long the service gets to start, and to stop, in milliseconds. */
const PATIENCE = 30_000;

const ROWS: readonly { readonly name: string; readonly variant: ContactsVariant }[] = [
  { name: 'as it is', variant: 'as-it-is' },
  { name: 'a fixed `ctx.state.auth` in place of `auth`', variant: 'fixed-auth' },
  { name: 'the same, and no rate limit', variant: 'fixed-auth-unlimited' },
  { name: 'as it is, again', variant: 'as-it-is' },
];

interface Setting {
  readonly issuer: string;
  readonly databaseURL: string;
  readonly token: string;
}

/** What authentication is of a whole request to a real API, and what a second worker process adds. */
export async function benchContactsApi(print: (text: string) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-contacts-api-'));
  const issuer = await startIssuer();
  const token = issuer.token({
    sub: 'auth0|alice',
    aud: AUDIENCE,
    scope: 'read:contacts create:contacts',
    client_id: 'bench',
    'https://contacts.example.com/org_id': 'bench',
    'https://contacts.example.com/roles': ['admin'],
  });
  const databaseURL = `file:${join(folder, 'contacts.db')}`;
  const setting = { issuer: issuer.issuer, databaseURL, token };
  try {
    await benchShare(print, setting);
    await benchWorkers(print, setting);
  } finally {
    await issuer.close();
    await rm(folder, { recursive: true });
  }
}

async function benchShare(print: (text: string) => void, setting: Setting): Promise<void> {
  const { token, ...rest } = setting;
  const target = await Target.start('contacts API', { ...rest, audience: AUDIENCE });
  try {
    await seed(`${target.url}/as-it-is`, token);
    print(`## The contacts API

${CONTACTS} contacts in a libsql file, one warm token, no log. All rows get the same requests, token and all, and
are the same app in one process, but for what they name. The last row is the first once more, and
ratios are to the mean of these two: how far they are from 1 is what this can't tell.

`);
    for (const { path, perRound } of PATHS) {
      const tokens = Array.from({ length: perRound }, () => token);
      const costs = ROWS.map((): number[] => []);
      for (let round = -WARM_UPS; round < ROUNDS; round += 1) {
        const order = [...ROWS.entries()];
        for (const [index, { variant }] of round % 2 === 0 ? order : order.toReversed()) {
          const cost = await target.cost(tokens, 200, `/${variant}${path}`);
          if (round >= 0) costs[index]?.push(cost);
        }
      }
      print(table(path, costs));
    }
  } finally {
    target.stop();
  }
}

function table(path: string, costs: readonly number[][]): string {
  const [real = [], unverified = []] = costs;
  const again = costs.at(-1) ?? [];
  const ratio = (values: readonly number[]) =>
    median(
      values.map((value, round) => (2 * value) / ((real[round] ?? NaN) + (again[round] ?? NaN))),
    );
  const rows = ROWS.map(({ name }, index) => {
    const values = costs[index] ?? [];
    return `| ${name} | ${ratio(values).toFixed(3)} | ${median(values).toFixed(0)} |\n`;
  });
  return `### GET ${path}

| contacts API | × as it is | µs CPU per request |
| --- | ---: | ---: |
${rows.join('')}
Authentication's share: ${((1 - ratio(unverified)) * 100).toFixed(1)} % of the request's CPU.

`;
}

async function benchWorkers(print: (text: string) => void, setting: Setting): Promise<void> {
  const services: Service[] = [];
  const rates: number[][] = [[], []];
  try {
    for (const workers of [1, 2]) services.push(await Service.start(workers, setting));
    for (let round = -1; round < THROUGHPUT_ROUNDS; round += 1) {
      const order = [...services.entries()];
      for (const [index, service] of round % 2 === 0 ? order : order.toReversed()) {
        const rate = await service.throughput(setting.token);
        if (round >= 0) rates[index]?.push(rate);
      }
    }
  } finally {
    await Promise.all(services.map((service) => service.stop()));
  }
  const [one = [], two = []] = rates;
  const ratio = median(two.map((rate, round) => rate / (one[round] ?? Number.NaN)));
  print(`### GET /contacts with more processes

The service as it is started in earnest, ${CONNECTIONS} connections. The load takes a core for itself: on two cores a
second worker has little to run on, and the ratio says little of a machine with more.

| WEB_CONCURRENCY | × one | requests per second |
| ---: | ---: | ---: |
| 1 | 1.00 | ${median(one).toFixed(0)} |
| 2 | ${ratio.toFixed(2)} | ${median(two).toFixed(0)} |

`);
}

/** The contacts API's own `main.js`. */
class Service {
  readonly #child: ChildProcess;
  readonly #url: string;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.#url = url;
  }

  static async start(workers: number, { issuer, databaseURL, token }: Setting): Promise<Service> {
    const port = await freePort();
    const main = fileURLToPath(
      new URL('../../packages/contacts-api/dist/main.js', import.meta.url),
    );
    const child = fork(main, [], {
      execArgv: [],
      env: {
        PATH: process.env.PATH,
        PORT: String(port),
        WEB_CONCURRENCY: String(workers),
        ISSUER_BASE_URL: issuer,
        AUDIENCE,
        DATABASE_URL: databaseURL,
        RATE_LIMIT: '1000000',
        LOG_LEVEL: 'silent',
      },
    });
    const service = new Service(child, `http://127.0.0.1:${port}`);
    try {
      await service.#ready();
      await checkContacts(service.#url, token);
    } catch (error) {
      await service.stop();
      throw error;
    }
    return service;
  }

  async #ready(): Promise<void> {
    const signal = AbortSignal.timeout(PATIENCE);
    const ended = once(this.#child, 'exit', { signal }).then(() => {
      throw new Error('the contacts API ended before it was ready');
    });
    await Promise.race([once(this.#child, 'message', { signal }), ended]);
  }

  /** @returns requests answered per second */
  async throughput(token: string): Promise<number> {
    const {
      '2xx': ok,
      non2xx,
      errors,
      duration,
    } = await autocannon({
      url: `${this.#url}/contacts`,
      connections: CONNECTIONS,
      duration: SECONDS,
      headers: { authorization: `Bearer ${token}` },
    });
    if (non2xx + errors > 0) throw new Error(`contacts API: ${non2xx} refused, ${errors} failed`);
    return ok / duration;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    const force = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE);
    this.#child.kill('SIGTERM');
    await ended;
    clearTimeout(force);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function seed(url: string, token: string): Promise<void> {
  for (let i = 0; i < CONTACTS; i += 1) {
    const { status } = await fetch(`${url}/contacts`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        name: `Contact Number ${i}`,
        email: `contact-${i}@example.com`,
        phone: `+44 20 7946 ${1000 + i}`,
        company: 'Analytical Engines Ltd',
      }),
    });
    if (status !== 201) throw new Error(`the contacts API answered ${status} to a new contact`);
  }
  await checkContacts(url, token);
}

async function checkContacts(url: string, token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${url}/contacts`, { headers });
  const { items } = (await response.json()) as { items?: unknown[] };
  if (items?.length !== CONTACTS)
    throw new Error(`the contacts API gave out ${items?.length} contacts, not ${CONTACTS}`);
}
