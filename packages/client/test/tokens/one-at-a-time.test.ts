import { beforeEach, expect, test } from '@jest/globals';
import type { AccessToken, Session } from '../../src/session/session.ts';
import type { SuppliedToken, TokenRequest, TokenSource } from '../../src/tokens/kept-tokens.ts';
import { oneAtATime } from '../../src/tokens/leased.ts';

const tick = () => new Promise((resolve) => setTimeout(resolve, 2));

let events: string[];
let runs: number;
let source: TokenSource;

beforeEach(() => {
  events = [];
  runs = 0;
  source = oneAtATime(async ({ session, wanted: { scope } }) => {
    events.push(`${session.id}${scope} begins`);
    await tick();
    events.push(`${session.id}${scope} ends`);
    if (scope === 'no') throw new Error('no');
    runs += 1;
    return { session, accessToken: { value: `${session.id}${scope} ${runs}` } as AccessToken };
  });
});

const request = (id: string, scope: string): TokenRequest => ({
  session: { id } as Session,
  wanted: { scope, audience: undefined, insteadOf: undefined },
  deadline: Number.POSITIVE_INFINITY,
});
const tokenOf = ({ accessToken }: SuppliedToken) => accessToken.value;

test('requests of one session run in turn, those of others at the same time', async () => {
  const all = [source(request('a', '1')), source(request('a', '2')), source(request('b', '1'))];
  expect((await Promise.all(all)).map(tokenOf)).toEqual(['a1 1', 'a2 3', 'b1 2']);
  expect(events.filter((event) => event.startsWith('a'))).toEqual([
    'a1 begins',
    'a1 ends',
    'a2 begins',
    'a2 ends',
  ]);
  expect(events.slice(0, 2)).toEqual(['a1 begins', 'b1 begins']);
});

test('the same token is asked for once while a request waits or runs, and again after that', async () => {
  const ask = async (scope: string) => tokenOf(await source(request('a', scope)));
  const all = [ask('x y'), ask('z'), ask('y x'), ask('z')];
  expect(await Promise.all(all)).toEqual(['ax y 1', 'az 2', 'ax y 1', 'az 2']);
  expect(await ask('x y')).toBe('ax y 3');
});

test('a request that fails fails for all who share it, and stops no other', async () => {
  const [one, other, next] = await Promise.allSettled([
    source(request('a', 'no')),
    source(request('a', 'no')),
    source(request('a', 'yes')),
  ]);
  expect([one.status, other.status]).toEqual(['rejected', 'rejected']);
  expect(next).toMatchObject({ status: 'fulfilled', value: { accessToken: { value: 'ayes 1' } } });
  expect(events.filter((event) => event === 'ano begins')).toHaveLength(1);
});
