import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ApiCaller } from './api-caller.ts';
import { ContactBook } from './contact-book.ts';
import { readKept } from './kept-contacts.ts';
import { Ledger } from './ledger.ts';
import { Random } from './random.ts';
import { report } from './report.ts';
import { runFaults } from './run-faults.ts';
import { openStage, type Stage } from './stage.ts';
import { TokenFacts } from './token-facts.ts';
import { WebUser } from './web-user.ts';
import type { Worker } from './worker.ts';

const USERS = [
  { user: 'alice', organization: 'acme', mayWrite: true },
  { user: 'bob', organization: 'acme', mayWrite: false },
  { user: 'carol', organization: 'globex', mayWrite: true },
] as const;
/** Time for the workers to finish. */
const GRACE_MS = 15_000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seconds: { type: 'string', default: '55' },
    only: { type: 'string', default: '' },
    logs: { type: 'string' },
  },
});
const seed = wholeNumber('--seed', values.seed ?? String(Math.floor(Math.random() * 2 ** 31)));
const { only } = values;
const seconds = wholeNumber('--seconds', values.seconds);
process.stdout.write(
  `seed ${seed}; again: npm run test:faults -- --seed ${seed} --seconds ${seconds}\n`,
);

const ledger = new Ledger();
const stage = await openStage();
try {
  await run(stage);
} finally {
  await stage.stop();
}
process.stdout.write(`\nseed ${seed}\n${report(ledger)}`);
process.exit(ledger.wrongs.size > 0 ? 1 : 0);

async function run(stage: Stage): Promise<void> {
  const random = new Random(seed);
  const facts = new TokenFacts();
  const book = new ContactBook(ledger);
  const workers = createWorkers(stage, random, facts, book);
  const stopping = new AbortController();
  const atWork = Promise.all(workers.map((worker) => worker.work(stopping.signal)));
  const faults = runFaults({ stage, facts, random }, workers, ledger, { seconds, only });
  await Promise.race([faults, atWork]);
  stopping.abort();
  await Promise.race([atWork, after(GRACE_MS, undefined, { ref: false })]);

  book.compare(await readKept(stage.postgres.url, ledger));
  const { secrets } = stage;
  ledger.count('secrets looked for', secrets.known);
  const logs = stage.logs();
  for (const found of secrets.find(logs)) ledger.wrong('no secret is in a log or on a page', found);
  for (const [name, text] of logs) countLog(name, text);
  const isWrong = ledger.wrongs.size > 0;
  const folder = values.logs ?? (isWrong ? mkdtempSync(join(tmpdir(), 'faults-logs-')) : undefined);
  if (folder !== undefined) keepLogs(folder, logs);
}

function createWorkers(
  stage: Stage,
  random: Random,
  facts: TokenFacts,
  book: ContactBook,
): Worker[] {
  const { web, fileWeb, api, issuer, secrets } = stage;
  const browsers = [0, 1].flatMap((round) =>
    USERS.map((person) => ({
      ...person,
      key: `${person.user} in browser ${round + 1}`,
      web,
      isOnDisk: false,
    })),
  );
  const onDisk = USERS.filter(({ mayWrite }) => mayWrite).flatMap((person) =>
    fileWeb
      ? [{ ...person, key: `${person.user} on the small disk`, web: fileWeb, isOnDisk: true }]
      : [],
  );
  const users = [...browsers, ...onDisk].map(
    (one) => new WebUser({ ...one, issuer, book, secrets }, ledger, random.fork()),
  );
  const callers = USERS.map((person) => {
    const options = {
      ...person,
      key: `${person.user} without a browser`,
      api,
      issuer,
      book,
      facts,
      secrets,
    };
    return new ApiCaller(options, ledger, random.fork());
  });
  return [...users, ...callers];
}

function countLog(name: string, text: string): void {
  const times = (pattern: RegExp) => text.match(pattern)?.length ?? 0;
  ledger.count('lines in the logs', times(/\n/g));
  ledger.count('tokens renewed', times(/"msg":"token refreshed"/g));
  const unexpected = /"status":500\b.*/.exec(text)?.[0];
  if (unexpected) ledger.wrong('no error is unexpected', `${name}: ${unexpected.slice(0, 1500)}`);
}

function keepLogs(folder: string, logs: ReadonlyMap<string, string>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of logs) writeFileSync(join(folder, `${name}.log`), text);
  process.stdout.write(`the logs are in ${folder}\n`);
}

function wholeNumber(name: string, text: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text);
  process.stderr.write(`${name} is "${text}": give a whole number\n`);
  process.exit(1);
}
