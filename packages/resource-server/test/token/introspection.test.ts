import { generateKeyPairSync } from 'node:crypto';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createIssuer, SIGNING_ALGORITHMS } from '@koa-oauth/issuer';
import fc from 'fast-check';
import { decodeJwt } from 'jose';
import { proves } from '../../../../test/support/proves.ts';
import { testKey } from '../../../../test/support/test-keys.ts';
import { OptionFaults } from '../../src/option-faults.ts';
import {
  checkIntrospectionOptions,
  Introspection,
  type IntrospectionOptions,
} from '../../src/token/introspection.ts';
import { verifySignature } from '../../src/token/signature.ts';
import {
  AUDIENCE,
  type IntrospectingIssuer,
  type Reply,
  replyWith,
  SIGNED,
  startIntrospectingIssuer,
} from '../support/introspecting-issuer.ts';

const CLIENT = { clientID: 'orders-api', clientSecret: 'p:w %' };
const UNAVAILABLE = { status: 503, code: 'ERR_INTROSPECTION_UNAVAILABLE' };

/** Both clocks, in milliseconds. */
let clock: { wall: number; monotonic: number };
let issuer: IntrospectingIssuer;

beforeEach(async () => {
  clock = { wall: 1_700_000_000_000, monotonic: 5000 };
  issuer = await startIntrospectingIssuer(() => clock.wall / 1000);
});
afterEach(() => issuer.close());

function pass(ms: number): void {
  clock.wall += ms;
  clock.monotonic += ms;
}

function create(
  options: Partial<IntrospectionOptions> = {},
  timeout = 5000,
  algorithms: readonly string[] = SIGNING_ALGORITHMS,
): Introspection {
  const faults = new OptionFaults();
  const all = { ...CLIENT, monotonicNow: () => clock.monotonic, ...options };
  const checked = checkIntrospectionOptions(all, false, faults);
  expect(() => faults.throwIfAny()).not.toThrow();
  return new Introspection({
    ...checked,
    issuer: createIssuer({ issuerBaseURL: issuer.issuer, timeout, onEvent: () => {} }),
    audience: [AUDIENCE],
    algorithms,
    clockTolerance: 60,
    verifySignature,
    now: () => clock.wall,
  });
}

describe('the request', () => {
  test('has the token and its type, and authenticates the API', async () => {
    await create().find('opaque+/~.1');
    const [{ form, headers } = { form: new URLSearchParams(), headers: {} }] = issuer.questions;
    expect(Object.fromEntries(form)).toEqual({
      token: 'opaque+/~.1',
      token_type_hint: 'access_token',
    });
    const basic = Buffer.from('orders-api:p%3Aw+%25').toString('base64');
    expect(headers.authorization).toBe(`Basic ${basic}`);
    expect(headers.accept).toBe('application/json');
    expect(headers['content-type']).toBe('application/x-www-form-urlencoded');
  });

  test('authenticates with a key: each time with a new assertion', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const introspection = create({
      clientSecret: undefined,
      clientAssertionSigningKey: privateKey,
    });
    await Promise.all([introspection.find('one'), introspection.find('two')]);
    const made = issuer.questions.map(({ form }) => decodeJwt(form.get('client_assertion') ?? ''));
    expect(made).toHaveLength(2);
    expect(made[0]).toMatchObject({ iss: 'orders-api', sub: 'orders-api', aud: issuer.issuer });
    expect(made[0]?.jti).not.toBe(made[1]?.jti);
  });

  test('asks for a signed answer where the issuer has them (RFC 9701 §4)', async () => {
    issuer.metadata = { introspection_signing_alg_values_supported: ['RS256'] };
    await create().find('opaque');
    expect(issuer.questions[0]?.headers.accept).toBe(`${SIGNED}, application/json;q=0.9`);
  });

  test('is sent again when the connection was closed without an answer', async () => {
    issuer.reply = () => (response) => response.destroy();
    const introspection = create();
    const found = introspection.find('opaque');
    issuer.reply = () =>
      issuer.questions.length === 1 ? (response) => response.destroy() : issuer.active();
    expect((await found).claims?.sub).toBe('alice');
    expect(issuer.questions).toHaveLength(2);
  });
});

describe('an answer', () => {
  test('is the members of an active token, without "active"', async () => {
    const { active: _, ...claims } = issuer.active();
    expect(await create().find('opaque')).toEqual({ claims, cached: false });
  });

  test.each<[string, Reply]>([
    ['active: false', { active: false, sub: 'alice' }],
    ['active: false with the status 201', replyWith(201, { active: false })],
    ['a token of another kind', replyWith(400, { error: 'unsupported_token_type' })],
  ])('%s: the token is not active', async (_name, reply) => {
    issuer.reply = () => reply;
    expect(await create().find('opaque')).toEqual({ claims: undefined, cached: false });
  });

  const json = (text: string): Reply => replyWith(200, text);
  test.each<[string, Reply, string]>([
    ['not JSON', json('<html>'), 'not JSON'],
    ['empty', json(''), 'not JSON'],
    ['cut', json('{"active":true,"sub":"al'), 'not JSON'],
    ['a list', json('[{"active":true}]'), 'not a JSON object'],
    ['null', json('null'), 'not a JSON object'],
    ['a text', json('"active"'), 'not a JSON object'],
    ['without active', json('{"sub":"alice"}'), '"active" is not true or false'],
    ['active as a text', json('{"active":"true"}'), '"active" is not true or false'],
    ['active as a number', json('{"active":1}'), '"active" is not true or false'],
    ['active twice', json('{"active":false,"active":true}'), 'a name twice'],
    ['active twice, once with escapes', json('{"\\u0061ctive":false,"active":true}'), 'twice'],
    ['a claim twice', json('{"active":true,"a":{"x":1,"x":2}}'), 'a name twice'],
    ['too large', json(`{"active":true,"x":"${'x'.repeat(70_000)}"}`), 'too large'],
    ['huge', json(`{"active":true,"x":"${'x'.repeat(2_000_000)}"}`), 'bytes'],
    [
      'a wrong secret',
      replyWith(401, { error: 'invalid_client' }),
      'does not accept this clientID',
    ],
    ['a forbidden client', replyWith(403, { active: true }), 'does not accept this clientID'],
    ['400', replyWith(400, { error: 'invalid_request' }), 'it answered 400'],
    ['404', replyWith(404, { active: true }), 'it answered 404'],
    ['429', replyWith(429, { active: true }), 'it answered 429'],
    ['500', replyWith(500, { active: true }), 'it answered 500'],
    ['a redirect', replyWith(302, { active: true }, { location: '/x' }), 'it answered 302'],
    ['202', replyWith(202, { active: true }), 'it answered 202'],
  ])('%s says nothing about the token: 503', async (_name, reply, detail) => {
    proves('RFC 7662 §4 answer');
    issuer.reply = () => reply;
    const error = await create()
      .find('opaque-token-1')
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ ...UNAVAILABLE, headers: { 'Retry-After': '2' } });
    expect((error as { detail: string }).detail).toContain(detail);
    expect(inspect(error, { depth: 9 })).not.toMatch(/opaque-token-1|p%3Aw|tenant=1/);
  });

  test('a failure is not cached', async () => {
    issuer.reply = () => replyWith(500, {});
    const introspection = create();
    await expect(introspection.find('opaque')).rejects.toMatchObject(UNAVAILABLE);
    issuer.reply = () => issuer.active();
    expect((await introspection.find('opaque')).claims?.sub).toBe('alice');
  });

  test('without an endpoint in the metadata: 503 that names it', async () => {
    issuer.metadata = { introspection_endpoint: undefined };
    const detail = expect.stringContaining('has no "introspection_endpoint"');
    await expect(create().find('opaque')).rejects.toMatchObject({ ...UNAVAILABLE, detail });
  });

  test('an endpoint that is away, or takes too long: 503', async () => {
    issuer.reply = () => new Promise<Reply>(() => {});
    await expect(create({}, 100).find('opaque')).rejects.toMatchObject(UNAVAILABLE);
    issuer.reply = () => (response) => response.destroy();
    await expect(create().find('opaque')).rejects.toMatchObject(UNAVAILABLE);
  });

  test('any bytes are an answer or a 503, never another error', async () => {
    const introspection = create();
    let body = '';
    issuer.reply = () => replyWith(200, body);
    let count = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.json(),
          fc.string(),
          fc.string().map((x) => `{"active":true,${x}}`),
        ),
        async (text) => {
          body = text;
          count += 1;
          const outcome = await introspection.find(`token-${count}`).catch((error) => error);
          const known = outcome.code === UNAVAILABLE.code || 'claims' in outcome;
          expect(known).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('a signed answer (RFC 9701 §5)', () => {
  test.each([
    ['for the client', 'orders-api'],
    ['for the API', AUDIENCE],
    ['for both', ['x', 'orders-api']],
  ])('%s is used', async (_name, aud) => {
    issuer.reply = () => issuer.sign(issuer.active(), { aud });
    expect((await create().find('opaque')).claims?.sub).toBe('alice');
  });

  test('with an algorithm that is not accepted: 503', async () => {
    issuer.reply = () => issuer.sign(issuer.active());
    const detail = expect.stringContaining('"alg"');
    const found = create({}, 5000, ['PS256']).find('opaque');
    await expect(found).rejects.toMatchObject({ ...UNAVAILABLE, detail });
  });

  test('may be about an inactive token', async () => {
    issuer.reply = () => issuer.sign({ active: false });
    expect((await create().find('opaque')).claims).toBeUndefined();
  });

  const stranger = () => testKey({}, 1);
  test.each<[string, (it: IntrospectingIssuer) => string, string]>([
    ['of another issuer', (it) => it.sign(it.active(), { iss: 'https://x.example/' }), '"iss"'],
    ['for another API', (it) => it.sign(it.active(), { aud: 'x' }), '"aud"'],
    ['an access token', (it) => it.sign(it.active(), {}, { typ: 'at+jwt' }), '"typ"'],
    ['without typ', (it) => it.sign(it.active(), {}, { typ: undefined }), '"typ"'],
    ['without iat', (it) => it.sign(it.active(), { iat: undefined }), '"iat"'],
    ['old', (it) => it.sign(it.active(), { iat: 1_699_999_000 }), '"iat"'],
    ['ahead', (it) => it.sign(it.active(), { iat: 1_700_000_900 }), '"iat"'],
    ['unsigned', (it) => it.sign(it.active(), {}, { alg: 'none' }), '"alg"'],
    ['with a secret', (it) => it.sign(it.active(), {}, { alg: 'HS256' }), '"alg"'],
    ['of another key', (it) => it.sign(it.active(), {}, {}, stranger()), 'signature'],
    ['of an unknown key', (it) => it.sign(it.active(), {}, { kid: 'x' }), 'no key'],
    ['changed', (it) => `${it.sign(it.active()).slice(0, -4)}AAAA`, 'signature'],
    ['no JWT', () => 'eyJ', 'not a signed JWT'],
    ['without members', (it) => it.sign(undefined as never), 'not a JSON object'],
    ['with its claims outside', (it) => it.sign({}, it.active()), '"active"'],
  ])('%s: 503', async (_name, answer, detail) => {
    proves('RFC 7662 §4 answer');
    issuer.reply = () => answer(issuer);
    await expect(create().find('opaque')).rejects.toMatchObject({
      ...UNAVAILABLE,
      detail: expect.stringContaining(detail),
    });
  });
});

describe('the cache', () => {
  test('30 questions at once about one token are one request, and then none', async () => {
    const introspection = create();
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    issuer.reply = async () => {
      await held;
      return issuer.active();
    };
    const found = Array.from({ length: 30 }, () => introspection.find('opaque'));
    while (issuer.questions.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    release();
    const answers = await Promise.all(found);
    expect(new Set(answers.map(({ claims }) => claims)).size).toBe(1);
    expect(await introspection.find('opaque')).toMatchObject({ cached: true });
    expect(issuer.questions).toHaveLength(1);
  });

  test('each waiting request gets an error of its own', async () => {
    issuer.reply = () => replyWith(500, {});
    const introspection = create();
    const failed = await Promise.all(
      [1, 2, 3].map(() => introspection.find('opaque').catch((error: unknown) => error)),
    );
    expect(new Set(failed).size).toBe(3);
    expect(issuer.questions).toHaveLength(1);
  });

  test('an answer is used for 30 seconds, counted from the question', async () => {
    const introspection = create();
    await introspection.find('opaque');
    issuer.reply = () => ({ active: false });
    pass(29_999);
    expect((await introspection.find('opaque')).claims?.sub).toBe('alice');
    pass(1);
    expect((await introspection.find('opaque')).claims).toBeUndefined();
    expect(issuer.questions).toHaveLength(2);
  });

  test('a slow answer does not prolong its age', async () => {
    const introspection = create();
    issuer.reply = () => {
      pass(4000);
      return issuer.active();
    };
    await introspection.find('opaque');
    pass(26_000);
    await introspection.find('opaque');
    expect(issuer.questions).toHaveLength(2);
  });

  test.each<[string, () => void]>([
    [
      'the wall clock is set back',
      () => {
        clock.monotonic += 30_000;
        clock.wall -= 3_600_000;
      },
    ],
    [
      'the machine slept',
      () => {
        clock.wall += 30_000;
      },
    ],
  ])('an answer ages when %s', async (_name, change) => {
    const introspection = create();
    await introspection.find('opaque');
    change();
    expect((await introspection.find('opaque')).cached).toBe(false);
  });

  test('no answer is used past "exp"', async () => {
    const introspection = create();
    issuer.reply = () => issuer.active({ exp: clock.wall / 1000 + 10 });
    await introspection.find('opaque');
    pass(9_999);
    expect((await introspection.find('opaque')).cached).toBe(true);
    issuer.reply = () => ({ active: false });
    pass(1);
    expect((await introspection.find('opaque')).claims).toBeUndefined();
  });

  test('an inactive token is asked for again after 5 seconds', async () => {
    const introspection = create();
    issuer.reply = () => ({ active: false });
    await introspection.find('opaque');
    issuer.reply = () => issuer.active();
    pass(4999);
    expect(await introspection.find('opaque')).toEqual({ claims: undefined, cached: true });
    pass(1);
    expect((await introspection.find('opaque')).claims?.sub).toBe('alice');
    // The newer answer counts, not the older one.
    expect((await introspection.find('opaque')).claims?.sub).toBe('alice');
  });

  test('without a maximum age nothing is cached, and questions are still shared', async () => {
    const introspection = create({ maxAge: 0 });
    await Promise.all([introspection.find('opaque'), introspection.find('opaque')]);
    expect(issuer.questions).toHaveLength(1);
    await introspection.find('opaque');
    expect(issuer.questions).toHaveLength(2);
  });

  test('made-up tokens evict no valid one', async () => {
    const introspection = create();
    await introspection.find('good');
    issuer.reply = () => ({ active: false });
    for (let batch = 0; batch < 10; batch += 1) {
      const names = Array.from({ length: 100 }, (_, index) => `made-up-${batch}-${index}`);
      await Promise.all(names.map((name) => introspection.find(name)));
      pass(1000);
    }
    expect((await introspection.find('good')).cached).toBe(true);
  });

  test('more questions than 256 at once are answered 503 without a request', async () => {
    proves('RFC 7662 §4 scanning');
    const introspection = create();
    const held: (() => void)[] = [];
    issuer.reply = () => new Promise((resolve) => held.push(() => resolve({ active: false })));
    const asked = Array.from({ length: 300 }, (_, index) =>
      introspection.find(`token-${index}`).catch((error: unknown) => error),
    );
    const refused = await Promise.all(asked.slice(256));
    expect(refused[0]).toMatchObject(UNAVAILABLE);
    while (held.length < 256) await new Promise((resolve) => setTimeout(resolve, 5));
    for (const release of held) release();
    await Promise.all(asked);
    expect(issuer.questions).toHaveLength(256);
  });

  test('made-up tokens cause 200 questions a second, and those in use are asked for again', async () => {
    proves('RFC 7662 §4 scanning');
    const introspection = create();
    await introspection.find('good');
    pass(30_000);
    issuer.reply = ({ form }) =>
      form.get('token') === 'good' ? issuer.active() : { active: false };
    const outcomes: unknown[] = [];
    for (let index = 0; index < 220; index += 1) {
      const found = introspection.find(`made-up-${index}`);
      outcomes.push(await found.then(() => 'inactive').catch(({ detail }) => detail));
    }
    const refused = 'introspection: 200 tokens in a second were inactive';
    expect(outcomes).toEqual([...Array(200).fill('inactive'), ...Array(20).fill(refused)]);
    expect((await introspection.find('good')).claims?.sub).toBe('alice');
    expect(issuer.questions).toHaveLength(202);
    // A known answer costs nothing.
    expect(await introspection.find('made-up-0')).toEqual({ claims: undefined, cached: true });
    pass(1000);
    await introspection.find('new');
    expect(issuer.questions).toHaveLength(203);
  });

  test.each<[number, string | undefined, number]>([
    [429, '7', 7],
    [503, undefined, 1],
    [503, '3600', 30],
    [429, 'Wed, 21 Oct 2026 07:28:00 GMT', 1],
    [429, '-5', 1],
  ])('after %i with Retry-After %s it asks about no new token for %i s', async (...row) => {
    const [status, retryAfter, seconds] = row;
    const introspection = create();
    await introspection.find('good');
    pass(30_000);
    const headers: Record<string, string> =
      retryAfter === undefined ? {} : { 'retry-after': retryAfter };
    issuer.reply = () => replyWith(status, {}, headers);
    await expect(introspection.find('first')).rejects.toMatchObject(UNAVAILABLE);
    issuer.reply = () => issuer.active();
    expect((await introspection.find('good')).claims?.sub).toBe('alice');
    pass(seconds * 1000 - 1);
    await expect(introspection.find('second')).rejects.toMatchObject(UNAVAILABLE);
    expect(issuer.questions).toHaveLength(3);
    pass(1);
    expect((await introspection.find('second')).claims?.sub).toBe('alice');
  });

  test('a token is kept only as its hash', async () => {
    const introspection = create();
    await introspection.find('opaque-token-1');
    expect(inspect(introspection, { depth: 9, showHidden: true })).not.toContain('opaque-token-1');
  });
});

describe('options', () => {
  const faultsOf = (options: unknown, isFapi = false) => {
    const texts: string[] = [];
    checkIntrospectionOptions(options, isFapi, new OptionFaults('', texts));
    return texts.join('; ');
  };

  test.each<[string, unknown, string]>([
    ['nothing', undefined, 'clientID must be'],
    ['a text', 'x', 'clientID must be'],
    ['no secret', { clientID: 'x' }, 'clientSecret must be'],
    ['a line break', { clientID: 'x', clientSecret: 'y\n' }, 'clientSecret must be'],
    ['no authentication', { clientID: 'x', clientAuthMethod: 'none' }, 'a secret or a key'],
    [
      'a secret and a key',
      { ...CLIENT, clientAssertionSigningKey: 'x' },
      'clientSecret has no use',
    ],
    ['a negative age', { ...CLIENT, maxAge: -1 }, 'maxAge must be 0 to 300000'],
    ['a long age', { ...CLIENT, maxAge: 300_001 }, 'maxAge must be 0 to 300000'],
    ['an age as a text', { ...CLIENT, maxAge: '30' }, 'maxAge must be'],
    ['no age', { ...CLIENT, maxAge: Number.NaN }, 'maxAge must be'],
    ['no boolean', { ...CLIENT, unsafeMissingAudience: 1 }, 'unsafeMissingAudience must be'],
    ['no clock', { ...CLIENT, monotonicNow: 1 }, 'monotonicNow must be a function'],
    ['an unknown name', { ...CLIENT, secret: 'x' }, 'unknown: secret'],
  ])('%s is refused', (_name, options, text) => {
    expect(faultsOf(options)).toContain(text);
  });

  test('FAPI 2.0 allows no secret', () => {
    expect(faultsOf(CLIENT, true)).toContain('clientSecret has no use');
    expect(faultsOf(CLIENT)).toBe('');
  });
});
