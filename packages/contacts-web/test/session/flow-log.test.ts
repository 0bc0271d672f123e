import { afterEach, expect, test } from '@jest/globals';
import { type ClientMessage, memoryStore, type SessionStore } from '@koa-oauth/client';
import { FlowLog } from '../../src/session/flow-log.ts';

const store = memoryStore();
/** Two processes, which share nothing but the store. */
const [one, other] = [new FlowLog(store), new FlowLog(store)];

const message = (step: ClientMessage['step'], loginId: string, at = 0): ClientMessage => ({
  loginId,
  step,
  at,
  parameters: { scope: 'openid' },
});
const stepsOf = async (log: FlowLog, loginId: string) =>
  (await log.read(loginId)).map(({ step, at }) => `${step} ${at}`);

afterEach(() => store.close());

test('the messages of a login are found by all processes, in their order, and no others', async () => {
  one.add(message('pushed_authorization_request', 'a', 1));
  one.add(message('pushed_authorization_response', 'a', 2));
  await one.add(message('authorization_request', 'a', 3));
  await one.add(message('authorization_request', 'b', 4));
  other.add(message('authorization_response', 'a', 5));
  const all = [
    'pushed_authorization_request 1',
    'pushed_authorization_response 2',
    'authorization_request 3',
    'authorization_response 5',
  ];
  expect(await stepsOf(other, 'a')).toEqual(all);
  expect(await stepsOf(one, 'a')).toEqual(all);
  expect(await one.read('a')).toMatchObject([{ parameters: { scope: 'openid' } }, {}, {}, {}]);
  expect(await stepsOf(one, 'c')).toEqual([]);
  expect(await one.read(undefined)).toEqual([]);
});

test('of refreshes the last one is kept', async () => {
  for (const at of [1, 3]) {
    await one.add(message('refresh_request', 'a', at));
    await other.add(message('refresh_response', 'a', at + 1));
  }
  expect(await stepsOf(one, 'a')).toEqual(['refresh_request 3', 'refresh_response 4']);
});

test('of messages that two processes add at once none is lost', async () => {
  await Promise.all([
    one.add(message('token_request', 'a', 1)),
    other.add(message('token_response', 'a', 2)),
  ]);
  expect((await stepsOf(one, 'a')).sort()).toEqual(['token_request 1', 'token_response 2']);
});

test('they last as long as a sign-in may take, and with a session as long as that', async () => {
  const expiries: number[] = [];
  const watched = {
    read: (key) => store.read(key),
    create: (key, session) => {
      expiries.push(session.expiresAt);
      return store.create(key, session);
    },
    update: (key, version, session) => {
      expiries.push(session.expiresAt);
      return store.update(key, version, session);
    },
  } satisfies Partial<SessionStore> as SessionStore;
  const log = new FlowLog(watched);
  await log.add(message('authorization_request', 'a'));
  await log.add({ ...message('token_response', 'a'), status: 200 });
  await log.add(message('refresh_request', 'a'));
  const [first = 0, second = 0, third = 0] = expiries;
  expect(second - first).toBeGreaterThanOrEqual(604_200);
  expect(third).toBe(second);
});

test('a store that is away loses a message, and nothing else', async () => {
  const away = memoryStore();
  away.read = () => Promise.reject(new Error('away'));
  await new FlowLog(away).add(message('token_request', 'a'));
});
