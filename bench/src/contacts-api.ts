import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTestIssuer } from '@koa-oauth/issuer/testing';
import type { ContactsVariant } from './apps/contacts-api.ts';
import { AUDIENCE, inTurn, median, medianRatio, Target } from './measure.ts';
import { CONNECTIONS, Service } from './service.ts';

const ROUNDS = Number(process.env.ROUNDS ?? 8) * 10;
const WARM_UPS = 10;
/**
 * Many short rounds. The cost of a request rises until the garbage collector has scanned the whole
 * heap, about every 2000 lists. Compared requests must be close together.
 */
const PATHS = [
  { path: '/contacts', perRound: 100 },
  { path: '/me', perRound: 300 },
];
const CONTACTS = 50;

const THROUGHPUT_ROUNDS = 4;

const ROWS: readonly { readonly name: string; readonly variant: ContactsVariant }[] = [
  { name: 'as it is', variant: 'as-it-is' },
  { name: 'a fixed `ctx.state.auth` instead of `auth`', variant: 'fixed-auth' },
  { name: 'the same, and no rate limit', variant: 'fixed-auth-unlimited' },
  { name: 'as it is, again', variant: 'as-it-is' },
];

interface Setting {
  readonly issuer: string;
  readonly databaseURL: string;
  readonly token: string;
}

/** Measures the share of authentication in a request to a real API, and the gain of a second worker. */
export async function benchContactsApi(print: (text: string) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-contacts-api-'));
  const issuer = await startTestIssuer();
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

${CONTACTS} contacts in a libsql file, one cached token, no log. All rows are the same app with the same requests,
except for the named change. The ratios are to the mean of the first and the last row, which are the same: their
distance from 1 is the measurement error.

`);
    for (const { path, perRound } of PATHS) {
      const tokens = Array.from({ length: perRound }, () => token);
      const costs = ROWS.map((): number[] => []);
      for (let round = -WARM_UPS; round < ROUNDS; round += 1) {
        for (const [index, { variant }] of inTurn([...ROWS.entries()], round)) {
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
  const mean = real.map((value, round) => (value + (again[round] ?? Number.NaN)) / 2);
  const rows = ROWS.map(({ name }, index) => {
    const values = costs[index] ?? [];
    return `| ${name} | ${medianRatio(values, mean).toFixed(3)} | ${median(values).toFixed(0)} |\n`;
  });
  return `### GET ${path}

| contacts API | × as it is | µs CPU per request |
| --- | ---: | ---: |
${rows.join('')}
Authentication's share: ${((1 - medianRatio(unverified, mean)) * 100).toFixed(1)} % of the request's CPU.

`;
}

async function benchWorkers(print: (text: string) => void, setting: Setting): Promise<void> {
  const services: Service[] = [];
  const rates: number[][] = [[], []];
  try {
    for (const workers of [1, 2]) {
      const service = await Service.start(workers, setting);
      services.push(service);
      await checkContacts(service.url, setting.token);
    }
    for (let round = -1; round < THROUGHPUT_ROUNDS; round += 1) {
      for (const [index, service] of inTurn([...services.entries()], round)) {
        const rate = await service.throughput(setting.token);
        if (round >= 0) rates[index]?.push(rate);
      }
    }
  } finally {
    await Promise.all(services.map((service) => service.stop()));
  }
  const [one = [], two = []] = rates;
  print(`### GET /contacts with more processes

The service as in production, with ${CONNECTIONS} connections. The load generator takes
a core, so with two cores the second worker has little CPU.

| WEB_CONCURRENCY | × one | requests per second |
| ---: | ---: | ---: |
| 1 | 1.00 | ${median(one).toFixed(0)} |
| 2 | ${medianRatio(two, one).toFixed(2)} | ${median(two).toFixed(0)} |

`);
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
