import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import { migrate, openDatabase } from 'contacts-api/database';
import { sql } from 'kysely';
import { AUDIENCE } from './measure.ts';
import { Service } from './service.ts';

const POSTGRES = process.env.TEST_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/test';
const CONTACTS = 300_000;
const HOSTILE_CONTACTS = 100_000;
const BATCH = 500;
const SEARCHES = 50;
const INTERVAL_MS = 100;
const agent = new Agent({ keepAlive: true });

const FIRST = 'anna ivan maria peter ada grace emmy alan jose hans li wei olga nina tom bob'.split(
  ' ',
);
const LAST = 'smith lovelace turing noether zimmermann schmidt garcia lopez chen wang rossi'.split(
  ' ',
);
const LONG_MISS = `${'a'.repeat(199)}b`;
const HOSTILE_TERMS = [LONG_MISS, 'a'.repeat(200), `b${'a'.repeat(100)}`, 'aaa'];
const TERMS = [
  'a',
  'an',
  'q',
  'zz',
  'ann',
  'zimmermann',
  'anna',
  'wei rossi',
  'wei',
  'tom.smith',
  'company 97',
  '29999',
  'no one',
];

/** Measures searches of a large organization, alone and while another organization is hostile. */
export async function benchSearch(print: (text: string) => void): Promise<void> {
  const issuer = await startTestIssuer();
  const folder = await mkdtemp(join(tmpdir(), 'bench-search-'));
  const name = `bench_search_${process.pid}`;
  const admin = openDatabase(POSTGRES);
  await sql.raw(`create database ${name}`).execute(admin);
  try {
    const url = new URL(POSTGRES);
    url.pathname = `/${name}`;
    await benchEngine(print, issuer, 'libsql', `file:${join(folder, 'contacts.db')}`);
    await benchEngine(print, issuer, 'PostgreSQL', url.href);
  } finally {
    await sql.raw(`drop database ${name} with (force)`).execute(admin);
    await admin.destroy();
    await issuer.close();
    await rm(folder, { recursive: true });
  }
}

async function benchEngine(
  print: (text: string) => void,
  issuer: TestIssuer,
  engine: string,
  databaseURL: string,
): Promise<void> {
  await seed(databaseURL);
  const service = await Service.start(1, { issuer: issuer.issuer, databaseURL });
  const headersOf = (organization: string) => ({
    authorization: `Bearer ${issuer.token({
      sub: organization,
      aud: AUDIENCE,
      scope: 'read:contacts',
      'https://contacts.example.com/org_id': organization,
    })}`,
  });
  const searches = (organization: string, terms: readonly string[]) => {
    // Signed before, because the service does not sign.
    const headers = Array.from({ length: SEARCHES }, () => headersOf(organization));
    let count = 0;
    return () => {
      const term = terms[count % terms.length] ?? '';
      count += 1;
      return timed(`${service.url}/contacts?q=${encodeURIComponent(term)}`, headers[count - 1]);
    };
  };
  print(`## Search on ${engine}

${CONTACTS} contacts, 10 searches a second. Hostile: ${HOSTILE_CONTACTS} contacts of "a" are searched 10 times a second.

| term | p95 in ms | p95, hostile | p99 of /healthz, hostile |
| --- | ---: | ---: | ---: |
`);
  try {
    for (const term of [...TERMS, LONG_MISS]) {
      await searches('large', [term])();
      const alone = await atIntervals(searches('large', [term]));
      const asked = [searches('large', [term]), searches('hostile', HOSTILE_TERMS)];
      const health = new HealthWatch(service.url);
      const [hostile = []] = await Promise.all(asked.map(atIntervals));
      const times = await health.end();
      const label = term.length > 20 ? '199 "a" and a "b"' : term;
      const figures = [quantile(alone, 0.95), quantile(hostile, 0.95), quantile(times, 0.99)];
      print(`| ${label} | ${figures.map((figure) => figure.toFixed(1)).join(' | ')} |\n`);
    }
    print('\n');
  } finally {
    await service.stop();
  }
}

/** Requests `/healthz` again and again until its end. */
class HealthWatch {
  readonly #times: number[] = [];
  readonly #watching: Promise<void>;
  #isOver = false;

  constructor(url: string) {
    this.#watching = this.#watch(`${url}/healthz`);
  }

  /** @returns milliseconds of each request */
  async end(): Promise<readonly number[]> {
    this.#isOver = true;
    await this.#watching;
    return this.#times;
  }

  async #watch(url: string): Promise<void> {
    while (!this.#isOver) {
      this.#times.push(await timed(url));
      await after(10);
    }
  }
}

async function seed(databaseURL: string): Promise<void> {
  await migrate(databaseURL);
  const database = openDatabase(databaseURL, { hasTimeout: false });
  const fill = async (organization: string, count: number, row: (index: number) => string[]) => {
    for (let start = 0; start < count; start += BATCH) {
      const rows = Array.from({ length: BATCH }, (_, index) => {
        const [name = '', email = '', company = ''] = row(start + index);
        const time = new Date(start + index).toISOString();
        return {
          id: randomUUID(),
          organisation: `org:${organization}`,
          ...{ name, email, company, phone: null, notes: null },
          search_text: `${name}\n${email}\n${company}`,
          ...{ version: 1, created_at: time, updated_at: time },
        };
      });
      await database.insertInto('contacts').values(rows).execute();
    }
  };
  await fill('large', CONTACTS, (index) => {
    const name = `${FIRST[(index * 7919) % 16]} ${LAST[(index * 104_729) % 11]} ${index}`;
    return [name, `${name.replaceAll(' ', '.')}@example.com`, `company ${index % 977}`];
  });
  await fill('hostile', HOSTILE_CONTACTS, () => ['a'.repeat(200), 'a@example.com']);
  // The server does so by itself within a minute.
  if (!databaseURL.startsWith('file:')) await sql`vacuum analyze contacts`.execute(database);
  await database.destroy();
}

async function atIntervals(ask: () => Promise<number>): Promise<number[]> {
  const asked: Promise<number>[] = [];
  for (let count = 0; count < SEARCHES; count += 1) {
    asked.push(ask());
    await after(INTERVAL_MS);
  }
  return Promise.all(asked);
}

// Not fetch, whose own time would be a large part of that of a short answer.
async function timed(url: string, headers: Record<string, string> = {}): Promise<number> {
  const start = performance.now();
  const [response] = (await once(get(url, { headers, agent }), 'response')) as [IncomingMessage];
  await once(response.resume(), 'end');
  const { statusCode } = response;
  if (statusCode !== 200) throw new Error(`${url} was answered ${statusCode}`);
  return performance.now() - start;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
