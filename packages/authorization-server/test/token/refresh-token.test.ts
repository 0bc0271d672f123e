import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { proves } from '../../../../test/support/proves.ts';
import {
  type Application,
  type AuthorizationServer,
  demoTenantFile,
  loadTenant,
} from '../../src/index.ts';
import { openStateStore } from '../../src/state/file.ts';
import type { StateStore } from '../../src/state/memory.ts';
import {
  grantSeconds,
  RefreshTokenAdapter,
  refreshTokenSeconds,
} from '../../src/token/refresh-token.ts';
import { takeClock } from '../support/clock.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import {
  authorizationRequest,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

type Change = Partial<Application['refresh_token']>;

const settings = (change: Change) => (tenant: ReturnType<typeof loadTenant>) => {
  Object.assign(tenant.clients[0]!.refresh_token, change);
};
const start = (change: Change): Promise<AuthorizationServer> => startDemo(settings(change));

const REFUSAL = {
  status: 403,
  body: { error: 'invalid_grant', error_description: 'Unknown or invalid refresh token.' },
};

/** A login and its refreshes, with the names of the tokens of Auth0's rotation diagrams. */
async function login(server: AuthorizationServer, change = {}) {
  const { tokens } = await tokensFor(server, 'alice', change);
  const use = (refresh_token = '', more = {}) =>
    requestTokens(server, { grant_type: 'refresh_token', refresh_token, ...more });
  const rotate = async (token: string): Promise<string> => {
    const { status, body } = await use(token);
    expect(status).toBe(200);
    return body.refresh_token ?? '';
  };
  return { first: tokens.refresh_token ?? '', tokens, use, rotate };
}

afterAll(stopServers);

describe('rotation with a leeway', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await start({ leeway: 60 });
  });

  test('the previous token may be used again, and both new tokens are valid', async () => {
    const { first, use, rotate } = await login(server);
    const second = await rotate(first);
    const again = await rotate(first);
    expect(again).not.toBe(second);
    expect((await use(second)).status).toBe(200);
    expect((await use(again)).status).toBe(200);
  });

  test('ten simultaneous requests with one token all succeed', async () => {
    const { first, use } = await login(server);
    const answers = await Promise.all(Array.from({ length: 10 }, () => use(first)));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
  });

  test('the token before the previous ends the family and the grant', async () => {
    proves('ASVS 10.4.5');
    const { first, use, rotate } = await login(server);
    const second = await rotate(first);
    const third = await rotate(second);
    expect(await use(first)).toEqual(REFUSAL);
    for (const token of [second, third]) expect(await use(token)).toEqual(REFUSAL);
  });

  test('a branch of the family that fell behind counts as reuse', async () => {
    const { first, use, rotate } = await login(server);
    const branch = await rotate(first);
    const owner = await rotate(await rotate(await rotate(first)));
    expect(await use(branch)).toEqual(REFUSAL);
    expect(await use(owner)).toEqual(REFUSAL);
  });

  test("reuse does not end the user's other login", async () => {
    const [one, other] = [await login(server), await login(server)];
    await one.rotate(await one.rotate(one.first));
    expect(await one.use(one.first)).toEqual(REFUSAL);
    expect((await other.use(other.first)).status).toBe(200);
  });

  test('the leeway counts at the request, however long the Actions run', async () => {
    const clock = takeClock();
    const goOn: (() => void)[] = [];
    const hold = () => new Promise<void>((resolve) => goOn.push(resolve));
    const refresh = "event.transaction.protocol === 'oauth2-refresh-token'";
    const action = actionOf(`if (${refresh}) await event.secrets.hold();`);
    const slow = await startDemo((tenant) => {
      settings({ leeway: 1 })(tenant);
      Object.assign(tenant, { postLogin: [action] });
    });
    // After the start, which hides the secrets as texts.
    Object.assign(action.secrets, { hold });
    const { first, use } = await login(slow);
    /** Sends the token. The Action of its request waits for `goOn`. */
    const start = async (token = '') => {
      const answer = use(token);
      const before = goOn.length;
      while (goOn.length === before) await wait(1);
      return { answer, goOn: goOn.at(-1)! };
    };
    const [one, other] = [await start(first), await start(first)];
    other.goOn();
    await other.answer;
    clock.pass(2600);
    one.goOn();
    const answers = [await one.answer, await other.answer];
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    for (const answer of answers) {
      const next = await start(answer.body.refresh_token);
      next.goOn();
      expect((await next.answer).status).toBe(200);
    }
  });

  test('revocation ends the previous token too', async () => {
    const { first, use, rotate } = await login(server);
    const token = await rotate(first);
    const form = {
      client_id: 'contacts-web',
      client_secret: 'contacts-web-demo-secret',
      token,
    };
    const { status } = await fetch(new URL('oauth/revoke', server.issuer), {
      method: 'POST',
      body: new URLSearchParams(form),
    });
    expect(status).toBe(200);
    expect(await use(first)).toEqual(REFUSAL);
  });
});

describe('rotation without a leeway', () => {
  test('a second use ends the family at once', async () => {
    proves('RFC 9700 §2.2.2');
    const server = await start({ leeway: 0 });
    const { first, use, rotate } = await login(server);
    const second = await rotate(first);
    expect(await use(first)).toEqual(REFUSAL);
    expect(await use(second)).toEqual(REFUSAL);
  });

  test('a second use ends the family though an Action would deny it', async () => {
    let tenant: ReturnType<typeof loadTenant> | undefined;
    const server = await startDemo((loaded) => {
      tenant = loaded;
      settings({ leeway: 0 })(loaded);
    });
    const { first, use, rotate } = await login(server);
    const second = await rotate(first);
    Object.assign(tenant!, { postLogin: [actionOf("api.access.deny('no')")] });
    expect(await use(first)).toEqual(REFUSAL);
    Object.assign(tenant!, { postLogin: [] });
    expect(await use(second)).toEqual(REFUSAL);
  });

  test('at most one of simultaneous requests succeeds, and the family ends', async () => {
    const server = await start({ leeway: 0 });
    const { first, use } = await login(server);
    const answers = await Promise.all([use(first), use(first), use(first)]);
    const winners = answers.filter(({ status }) => status === 200);
    expect(winners.length).toBeLessThanOrEqual(1);
    for (const { body } of winners) expect(await use(body.refresh_token)).toEqual(REFUSAL);
  });

  test('a token that does not rotate stays valid, and is not sent again', async () => {
    const server = await start({ rotation_type: 'non-rotating' });
    const { first, use } = await login(server);
    for (let i = 0; i < 3; i += 1) {
      const { status, body } = await use(first);
      expect(status).toBe(200);
      // Auth0 does not send it again either.
      expect(body).not.toHaveProperty('refresh_token');
    }
  });
});

describe('lifetimes, over HTTP', () => {
  test('rotation does not extend the lifetime', async () => {
    proves('RFC 9700 §4.14', 'ASVS 10.4.8');
    const clock = takeClock();
    const server = await start({ token_lifetime: 40 });
    const { first, use, rotate } = await login(server);
    const second = await rotate(first);
    clock.pass(30_000);
    const third = await rotate(second);
    clock.pass(15_000);
    expect(await use(third)).toEqual(REFUSAL);
  });

  test.each(['rotating', 'non-rotating'] as const)(
    'a %s token that lies idle ends',
    async (type) => {
      const clock = takeClock();
      const server = await start({ rotation_type: type, idle_token_lifetime: 40 });
      const { first, use } = await login(server);
      let token = first;
      // In use it lives on, past its first idle time.
      for (let i = 0; i < 3; i += 1) {
        clock.pass(25_000);
        const { status, body } = await use(token);
        expect(status).toBe(200);
        token = body.refresh_token ?? token;
      }
      clock.pass(45_000);
      expect(await use(token)).toEqual(REFUSAL);
    },
  );
});

describe('the lifetime that a token has left', () => {
  const DAY = 86_400;
  const rows: [string, Change, number, number][] = [
    ['new', { token_lifetime: 100 }, 0, 100],
    ['after rotation', { token_lifetime: 100 }, 40, 60],
    ['idle time first', { token_lifetime: 100, idle_token_lifetime: 30 }, 40, 30],
    ['its end first', { token_lifetime: 100, idle_token_lifetime: 30 }, 80, 20],
    [
      'no end, but an idle time',
      { infinite_token_lifetime: true, idle_token_lifetime: 30 },
      DAY,
      30,
    ],
    [
      'an idle time switched off',
      {
        token_lifetime: 100,
        idle_token_lifetime: 30,
        infinite_idle_token_lifetime: true,
      },
      40,
      60,
    ],
    ['not expiring', { expiration_type: 'non-expiring', token_lifetime: 100 }, 0, 36_500 * DAY],
  ];
  test.each(rows)('%s', (_name, change, age, left) => {
    const tenant = loadTenant(demoTenantFile);
    settings(change)(tenant);
    expect(refreshTokenSeconds(tenant.clients[0], 1000, 1000 + age)).toBe(left);
    const kept = grantSeconds(tenant.clients[0]);
    expect(kept).toBeGreaterThanOrEqual(left);
    if (change.token_lifetime === 100 && !change.expiration_type) expect(kept).toBe(100 + DAY);
  });
});

describe('the leeway by the clock', () => {
  let now = 1000;
  let store: StateStore;
  beforeAll(() => {
    store = openStateStore('memory:', () => now);
  });
  afterAll(() => store.close());

  test.each([
    [0, 10, undefined],
    [10, 10, undefined],
    [11, 10, 1000],
    [0, 0, 1000],
  ])('%i seconds after its use, with a leeway of %i', async (age, leeway, consumed) => {
    now = 1000;
    const tenant = loadTenant(demoTenantFile);
    settings({ leeway })(tenant);
    const adapter = new RefreshTokenAdapter(tenant, store);
    const id = `${age}-${leeway}`;
    const token = { grantId: id, clientId: 'contacts-web', rotations: 0 };
    await adapter.upsert(id, token, 1000);
    await adapter.consume(id);
    await adapter.upsert(`${id}-next`, { ...token, rotations: 1 }, 1000);
    now += age;
    expect((await adapter.find(id))?.consumed).toBe(consumed);
  });
});

describe('scope', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await start({});
  });

  test('a refresh may request less, and the next one all again', async () => {
    const { first, tokens, use } = await login(server);
    const narrow = await use(first, { scope: 'openid read:contacts' });
    expect(narrow.body.scope).toBe('openid read:contacts');
    const whole = await use(narrow.body.refresh_token);
    expect(whole.body.scope).toBe(tokens.scope);
  });

  test.each([
    ['offline_access was not asked for', { scope: 'openid read:contacts' }, true],
    ['the API does not allow it', {}, false],
  ])('there is no refresh token when %s', async (_name, change, allowed) => {
    const strict = await startDemo((tenant) => {
      tenant.resourceServers[0]!.allow_offline_access = allowed;
    });
    const { tokens } = await login(strict, change);
    expect(tokens).not.toHaveProperty('refresh_token');
    expect(tokens.scope).not.toContain('offline_access');
  });

  test('there is no refresh token for an application without the grant', async () => {
    const redirect_uri = 'http://127.0.0.1:4000/callback';
    const change = { client_id: 'contacts-cli', redirect_uri };
    const request = authorizationRequest(server, change);
    const callback = await signIn(openBrowser(), request);
    const form = {
      grant_type: 'authorization_code',
      code: callback.get('code') ?? '',
      redirect_uri,
      code_verifier: request.verifier,
    };
    const { status, body } = await requestTokens(server, form, 'contacts-cli');
    expect(status).toBe(200);
    expect(body).not.toHaveProperty('refresh_token');
  });
});
