import {
  createTestKey,
  startTestIssuer,
  type TestIssuer,
  type TestKey,
} from '@koa-oauth/issuer/testing';
import { APPS, type AppName } from './apps/index.ts';
import { AUDIENCE, inTurn, median, medianRatio, Target } from './measure.ts';

const ROUNDS = Number(process.env.ROUNDS ?? 16);
// An app gets 12,000 requests first: until then much of its time is compilation.
const WARM_UPS = 12;
const PER_ROUND = 1000;

interface Scenario {
  readonly name: string;
  /** Makes one token. */
  readonly token: () => string;
  readonly expected: 200 | 401;
  readonly apps: readonly AppName[];
}

/** Microseconds of an app's CPU per request, round by round. */
type Costs = Map<string, number[]>;

const BARE = 'Koa, no authentication';
const BARE_AND_VERIFY = 'Koa + one crypto.verify';
const OURS = 'koa-oauth';
const OURS_FRESH = 'koa-oauth, a good fresh token';

/**
 * Measures requests with one repeated token, with new tokens, and with wrong tokens.
 *
 * @param status measures only the tokens that are answered with it
 */
export async function benchResourceServer(
  print: (text: string) => void,
  status?: 200 | 401,
): Promise<void> {
  const issuer = await startTestIssuer();
  const options = { issuer: issuer.issuer, audience: AUDIENCE };
  const names = Object.keys(APPS) as AppName[];
  const targets = await Promise.all(names.map((name) => Target.start(name, options)));
  const mint = minter(issuer);
  try {
    for (const scenario of scenarios(mint, names)) {
      if (status !== undefined && scenario.expected !== status) continue;
      const measured = targets.filter(({ name }) => scenario.apps.includes(name));
      print(table(scenario, await measure(scenario, measured, mint)));
    }
  } finally {
    for (const target of targets) target.stop();
    await issuer.close();
  }
}

/** Measures the apps in turn, round by round. */
async function measure(
  { token, expected }: Scenario,
  targets: readonly Target[],
  mint: Mint,
): Promise<Costs> {
  const costs: Costs = new Map(targets.map(({ name }) => [name, []]));
  const ours = targets.find(({ name }) => name === OURS);
  for (let round = -WARM_UPS; round < ROUNDS; round += 1) {
    const tokens = Array.from({ length: PER_ROUND }, token);
    const addCost = (name: string, cost: number) => {
      if (round >= 0) costs.set(name, [...(costs.get(name) ?? []), cost]);
    };
    // The cost of a wrong token is compared with that of a good one in the same round.
    if (ours && expected === 401) {
      const fresh = Array.from({ length: PER_ROUND }, () => mint());
      addCost(OURS_FRESH, await ours.cost(fresh, 200));
    }
    for (const target of inTurn(targets, round)) {
      addCost(target.name, await target.cost(tokens, expected));
    }
  }
  return costs;
}

type Mint = (change?: object, header?: object, key?: TestKey) => string;

/** Returns a function that makes unique tokens. */
function minter(issuer: TestIssuer): Mint {
  const claims = { sub: 'auth0|alice', aud: AUDIENCE, scope: 'read:contacts', client_id: 'bench' };
  let serial = 0;
  return (change, header, key = issuer.keys[0]) => {
    serial += 1;
    return issuer.token({ ...claims, jti: `${serial}`, sid: 's1', ...change }, { ...header }, key);
  };
}

function scenarios(mint: Mint, apps: readonly AppName[]): Scenario[] {
  const stranger = createTestKey({ kid: 'key-1' });
  const one = mint();
  let kid = 0;
  const verifying = apps.filter((name) => name !== BARE);
  const refusing = verifying.filter((name) => !/verifiedTokens|revocations/.test(name));
  const judging = refusing.filter((name) => name !== BARE_AND_VERIFY && !name.includes('alone'));
  const good = { expected: 200, apps } as const;
  return [
    { name: 'one token again and again', token: () => one, ...good },
    { name: 'distinct tokens, each once', token: () => mint(), ...good },
    {
      name: 'wrong signature',
      token: () => mint({}, {}, stranger),
      expected: 401,
      apps: refusing,
    },
    { name: 'expired', token: () => mint({ iat: 1, exp: 2 }), expected: 401, apps: judging },
    {
      name: 'made-up kid',
      token: () => mint({}, { kid: `made-up-${kid++}` }),
      expected: 401,
      apps: judging,
    },
  ];
}

function table({ name }: Scenario, costs: Costs): string {
  const against = (reference: string, values: readonly number[]) => {
    const base = costs.get(reference);
    return base ? medianRatio(values, base).toFixed(2) : '';
  };
  const columns = [BARE_AND_VERIFY, OURS_FRESH].filter((column) => costs.has(column));
  const rows = [...costs].map(([app, values]) => {
    const ratios = columns.map((column) => against(column, values));
    return `| ${[app, ...ratios, median(values).toFixed(0)].join(' | ')} |`;
  });
  const head = ['app', ...columns.map((column) => `× ${column}`), 'µs CPU per request'];
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'));
  return `### ${name}\n\n${[`| ${head.join(' | ')} |`, `| ${rule.join(' | ')} |`, ...rows].join('\n')}\n\n`;
}
