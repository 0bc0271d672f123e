import { createTestKey, startIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import { APPS, type AppName } from './apps/index.ts';
import { AUDIENCE, median, Target } from './measure.ts';

const ROUNDS = Number(process.env.ROUNDS ?? 3);
const PER_ROUND = 2000;

interface Scenario {
  readonly name: string;
  readonly expected: 200 | 401;
  /** Tokens of one round, or of the warm-up before them. */
  readonly tokens: (round: number) => readonly string[];
  readonly times?: number;
  readonly skip?: readonly AppName[];
}

/** What a request costs the API, with one token again and again, with fresh ones, and with wrong ones. */
export async function benchResourceServer(print: (text: string) => void): Promise<void> {
  const issuer = await startIssuer();
  const options = { issuer: issuer.issuer, audience: AUDIENCE };
  const names = Object.keys(APPS) as AppName[];
  const targets = await Promise.all(names.map((name) => Target.start(name, options)));
  try {
    for (const scenario of scenarios(issuer)) {
      const costs = new Map<AppName, number[]>(names.map((name) => [name, []]));
      for (let round = 0; round <= ROUNDS; round += 1) {
        const tokens = scenario.tokens(round);
        // Interleaved, so that whatever else the machine does meets all of them.
        for (const target of targets) {
          if (scenario.skip?.includes(target.name)) continue;
          const cost = await target.cost(tokens, scenario.expected, scenario.times);
          if (round > 0) costs.get(target.name)?.push(cost);
        }
      }
      print(table(scenario.name, costs));
    }
  } finally {
    for (const target of targets) target.stop();
    await issuer.close();
  }
}

function scenarios(issuer: TestIssuer): Scenario[] {
  const claims = { sub: 'auth0|alice', aud: AUDIENCE, scope: 'read:contacts', client_id: 'bench' };
  const stranger = createTestKey({ kid: 'key-1' });
  let serial = 0;
  const mint = (change: object = {}, header: object = {}, key = issuer.keys[0]) => {
    serial += 1;
    return issuer.token({ ...claims, jti: `${serial}`, ...change }, { ...header }, key);
  };
  const many = (make: () => string) => () => Array.from({ length: PER_ROUND }, make);
  const one = [mint()];
  const open: AppName[] = ['Koa, no authentication'];
  const onlyVerifies: AppName[] = [...open, 'Koa + one crypto.verify'];
  return [
    { name: 'one token again and again', expected: 200, tokens: () => one, times: 2 * PER_ROUND },
    { name: 'distinct tokens, each once', expected: 200, tokens: many(() => mint()) },
    {
      name: 'wrong signature',
      expected: 401,
      tokens: many(() => mint({}, {}, stranger)),
      skip: open,
    },
    {
      name: 'expired',
      expected: 401,
      tokens: many(() => mint({ iat: 1, exp: 2 })),
      skip: onlyVerifies,
    },
    {
      name: 'made-up kid',
      expected: 401,
      tokens: many(() => mint({}, { kid: `made-up-${serial}` })),
      skip: onlyVerifies,
    },
  ];
}

function table(scenario: string, costs: ReadonlyMap<AppName, readonly number[]>): string {
  const medians = [...costs].map(([name, values]) => [name, median(values)] as const);
  const cost = (wanted: AppName) => medians.find(([name]) => name === wanted)?.[1] ?? Number.NaN;
  const ours = cost('koa-oauth');
  const bare = cost('Koa, no authentication');
  const rows = medians
    .filter(([, value]) => !Number.isNaN(value))
    .map(([name, value]) => {
      const ratio = Number.isNaN(bare) ? '' : (value / bare).toFixed(2);
      return `| ${name} | ${(value / ours).toFixed(2)} | ${ratio} | ${value.toFixed(0)} |`;
    });
  return [
    `### ${scenario}`,
    '',
    '| app | × koa-oauth | × Koa alone | µs CPU per request |',
    '| --- | ---: | ---: | ---: |',
    ...rows,
    '',
    '',
  ].join('\n');
}
