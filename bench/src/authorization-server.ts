import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inTurn, median, medianRatio } from './measure.ts';
import { ServerProcess } from './server-process.ts';
import { requestsTo } from './server-requests.ts';
import { SERVERS, type ServerName } from './servers/index.ts';

const STARTS = 7;
const ROUNDS = Number(process.env.ROUNDS ?? 8);
const WARM_UPS = 2;
/** Requests of one round. With the warm-ups there are 2000 logins. */
const LOGINS = 200;
const GRANTS = 400;
const CONCURRENCY = 8;
const FIRST_ANSWER_TIMEOUT_MS = 10_000;

const NAMES = Object.keys(SERVERS) as ServerName[];

/** Measurements of each server, one for each round. */
type Rounds = Readonly<Record<ServerName, number[]>>;

interface Row {
  readonly name: string;
  readonly rounds: Rounds;
  readonly digits: number;
}

/** Compares the authorization server with a mock that has no sign-in and checks almost nothing. */
export async function benchAuthorizationServer(print: (text: string) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-authorization-server-'));
  const start = (name: ServerName) => ServerProcess.start(name, join(folder, `${name}.json`));
  const servers: ServerProcess[] = [];
  try {
    const rows = [
      { name: 'new process to its first answer, ms', rounds: await starts(start), digits: 0 },
    ];
    for (const name of NAMES) servers.push(await start(name));
    rows.push({
      name: 'another start in the same process, ms',
      rounds: await nextStarts(servers),
      digits: 1,
    });
    rows.push(...(await costs(servers, 'clientCredentials', GRANTS)));
    rows.push(...(await costs(servers, 'login', LOGINS)));
    rows.push(await memory(servers));
    print(table(rows));
  } finally {
    for (const server of servers) server.stop();
    await rm(folder, { recursive: true });
  }
}

/** Measures new processes. The first round creates the signing keys and does not count. */
async function starts(start: (name: ServerName) => Promise<ServerProcess>): Promise<Rounds> {
  const rounds = noRounds();
  for (let round = 0; round <= STARTS; round += 1) {
    for (const name of inTurn(NAMES, round)) {
      const begun = performance.now();
      const server = await start(name);
      try {
        const { status } = await fetch(`${server.url}/.well-known/openid-configuration`, {
          signal: AbortSignal.timeout(FIRST_ANSWER_TIMEOUT_MS),
        });
        if (status !== 200) throw new Error(`${name} answered ${status}`);
        if (round > 0) rounds[name].push(performance.now() - begun);
      } finally {
        server.stop();
      }
    }
  }
  return rounds;
}

async function nextStarts(servers: readonly ServerProcess[]): Promise<Rounds> {
  const rounds = noRounds();
  for (let round = 0; round < STARTS; round += 1) {
    for (const server of inTurn(servers, round)) {
      rounds[server.name].push((await server.startAnother()).elapsed);
    }
  }
  return rounds;
}

async function costs(
  servers: readonly ServerProcess[],
  kind: 'login' | 'clientCredentials',
  perRound: number,
): Promise<Row[]> {
  const [cpu, rate] = [noRounds(), noRounds()];
  for (let round = -WARM_UPS; round < ROUNDS; round += 1) {
    for (const server of inTurn(servers, round)) {
      const request = requestsTo(server.name, server.url)[kind];
      const before = await server.read();
      const begun = performance.now();
      await Promise.all(
        Array.from({ length: CONCURRENCY }, () => repeat(request, perRound / CONCURRENCY)),
      );
      const seconds = (performance.now() - begun) / 1000;
      const after = await server.read();
      if (round < 0) continue;
      cpu[server.name].push((after.cpu - before.cpu) / 1000 / perRound);
      rate[server.name].push(perRound / seconds);
    }
  }
  const name = kind === 'login' ? 'login' : 'client_credentials';
  return [
    { name: `${name}, ms CPU each`, rounds: cpu, digits: 2 },
    { name: `${name}, per second`, rounds: rate, digits: 0 },
  ];
}

async function repeat(request: () => Promise<void>, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) await request();
}

async function memory(servers: readonly ServerProcess[]): Promise<Row> {
  const rounds = noRounds();
  for (const server of servers) rounds[server.name].push((await server.read()).rss / 2 ** 20);
  const logins = (WARM_UPS + ROUNDS) * LOGINS;
  return { name: `memory after ${logins} logins, MiB`, rounds, digits: 0 };
}

function noRounds(): Rounds {
  return { 'koa-oauth': [], 'oauth2-mock-server': [] };
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(({ name, rounds, digits }) => {
    const { 'koa-oauth': ours, 'oauth2-mock-server': mock } = rounds;
    const cells = [
      medianRatio(ours, mock).toFixed(2),
      median(ours).toFixed(digits),
      median(mock).toFixed(digits),
    ];
    return `| ${[name, ...cells].join(' | ')} |\n`;
  });
  return `## The authorization server

Compared with oauth2-mock-server, with stored keys and ${CONCURRENCY} concurrent requests. A login at this server has the
sign-in page, the password, the demo tenant's Action, a skipped consent, a code and tokens with a verified
ID token. A login at the mock has only a code and tokens.

| | × oauth2-mock-server | koa-oauth | oauth2-mock-server |
| --- | ---: | ---: | ---: |
${lines.join('')}
`;
}
