import { describe, expect, jest, test } from '@jest/globals';
import { type Answer, judgeApiAnswer, judgeForged, judgeWebAnswer } from './answers.ts';
import { ContactBook, contactName, showsOther } from './contact-book.ts';
import { type Disturbance, Ledger } from './ledger.ts';
import { Random } from './random.ts';
import { Secrets } from './secrets.ts';
import { TokenFacts } from './token-facts.ts';

/** Returns a ledger that prints nothing. */
function quietLedger(...disturbs: Disturbance[]): Ledger {
  jest.spyOn(process.stderr, 'write').mockReturnValue(true);
  const ledger = new Ledger();
  ledger.begin('a fault', disturbs);
  return ledger;
}

const rules = ({ wrongs }: Ledger) => [...wrongs.keys()];
const answer = (status: number, code = '', headers: Answer['headers'] = {}): Answer => ({
  method: 'GET',
  url: 'http://localhost:3000/contacts',
  status,
  headers,
  body: `<code>${code}</code> {"code":"${code}"}`,
  begun: performance.now(),
});
const later = { 'retry-after': '2' };
const CAUSE = 'every failure has a cause';

describe('an answer of the web app', () => {
  test.each<[string, Answer, Disturbance[], string[]]>([
    ['a page', answer(200), [], []],
    ['a redirect', answer(302), [], []],
    ['Redis away', answer(503, 'ERR_SESSION_STORE', later), ['sessions'], []],
    [
      'Redis away, but the API was disturbed',
      answer(503, 'ERR_SESSION_STORE', later),
      ['api'],
      [CAUSE],
    ],
    ['no Retry-After', answer(503, 'ERR_SESSION_STORE'), ['sessions'], ['a 503 has a Retry-After']],
    ['a 500', answer(500), ['sessions'], ['no error is unexpected', CAUSE]],
    ['a 404', answer(404), ['web', 'api'], [CAUSE]],
    ['a 401', answer(401, 'ERR_LOGIN_REQUIRED'), ['sign-in'], [CAUSE]],
    [
      'the issuer away, for a signed-in user',
      answer(503, 'ERR_TOKEN_ENDPOINT_UNAVAILABLE', later),
      ['sign-in'],
      ['a signed-in user does not need the issuer'],
    ],
  ])('%s', (_name, given, disturbs, wrong) => {
    const ledger = quietLedger(...disturbs);
    judgeWebAnswer(given, { ledger, isSignedIn: true, isOnDisk: false, mayMeet: [] });
    expect(rules(ledger)).toEqual(wrong);
  });

  test('a fault that is over does not explain a later failure', () => {
    const ledger = quietLedger('sessions');
    for (const window of ledger.windows) window.settled = performance.now();
    const late = { ...answer(503, 'ERR_SESSION_STORE', later), begun: performance.now() + 1 };
    judgeWebAnswer(late, { ledger, isSignedIn: true, isOnDisk: false, mayMeet: [] });
    expect(rules(ledger)).toEqual([CAUSE]);
  });
});

test.each<[string, Answer, Disturbance[], string[]]>([
  ['a refused valid token', answer(401, 'ERR_INVALID_TOKEN'), ['issuer', 'clock'], [CAUSE]],
  ['a refused scope', answer(403, 'ERR_INSUFFICIENT_SCOPE'), ['keys'], [CAUSE]],
  ['a database that is away', answer(503, 'ERR_STORE_UNAVAILABLE', later), ['database'], []],
  ['Redis away', answer(503, 'ERR_REVOCATION_UNAVAILABLE', later), ['sessions'], []],
  [
    'a database that is reported away without a fault',
    answer(503, 'ERR_STORE_UNAVAILABLE', later),
    ['issuer'],
    [CAUSE],
  ],
])('the ledger judges an answer of the API: %s', (_name, given, disturbs, wrong) => {
  const ledger = quietLedger(...disturbs);
  expect(judgeApiAnswer(given, [200], ledger)).toBe(false);
  expect(rules(ledger)).toEqual(wrong);
});

test.each<[string, Disturbance[], string[]]>([
  ['Redis', ['sessions'], ['a signed-in user stays signed in']],
  ['an unusable answer', ['wrong answers'], ['a signed-in user stays signed in']],
  ['foreign keys', ['keys', 'wrong answers'], []],
])('the ledger judges a session that ends: %s', (_name, disturbs, wrong) => {
  const ledger = quietLedger(...disturbs);
  ledger.sessionEnded('alice', performance.now());
  expect(rules(ledger)).toEqual(wrong);
});

test('the API must refuse a forged token', () => {
  const ledger = quietLedger('keys', 'clock', 'database');
  expect(judgeForged(answer(401), ledger)).toBe(true);
  expect(judgeForged(answer(200), ledger)).toBe(false);
  expect(rules(ledger)).toEqual(['a forged token opens nothing']);
});

describe('the book of contacts', () => {
  const name = contactName('acme', '1');
  const row = { id: 'id-1', organization: 'org:acme', name, notes: 'b', version: 2 };

  function changedOnce(): [ContactBook, Ledger] {
    const ledger = quietLedger();
    const book = new ContactBook(ledger);
    book.adding(name);
    const entry = book.added('acme', row.id, name, 'a');
    book.changing(entry, 'b');
    book.changed(entry, 'b');
    return [book, ledger];
  }

  test.each<[string, (typeof row)[], string[]]>([
    ['as it was written', [row], []],
    ['lost', [], ['an acknowledged contact is stored']],
    ['without its change', [{ ...row, notes: 'a' }], ['an acknowledged contact is stored']],
    [
      'with another organization',
      [{ ...row, organization: 'org:globex' }],
      ['an acknowledged contact is stored'],
    ],
    ['twice', [row, { ...row, id: 'id-2' }], ['no contact is stored twice']],
    [
      'with one that was not written',
      [row, { ...row, id: 'id-2', name: `${name}0` }],
      ['every stored contact was written'],
    ],
  ])('compares a contact %s', (_name, kept, wrong) => {
    const [book, ledger] = changedOnce();
    book.compare(kept);
    expect(rules(ledger)).toEqual(wrong);
  });

  test('a deleted contact must be gone; a write without an answer may have happened', () => {
    const [book, ledger] = changedOnce();
    const other = contactName('globex', '2');
    book.adding(other);
    book.compare([row, { ...row, id: 'id-2', organization: 'org:globex', name: other }]);
    expect(rules(ledger)).toEqual([]);
    const entry = book.ofOther('globex');
    if (entry) book.deleting(entry);
    book.compare([row]);
    book.compare([]);
    expect(rules(ledger)).toEqual([]);
    if (entry) book.deleted(entry);
    book.compare([row]);
    expect(rules(ledger)).toEqual(['an acknowledged contact is stored']);
  });

  test('recognizes a contact of another organization by its name', () => {
    expect(showsOther('globex', `<h3>${name}</h3>`)).toBe(true);
    expect(showsOther('acme', `<h3>${name}</h3>`)).toBe(false);
  });
});

describe('secrets', () => {
  const token = `eyJ${'a'.repeat(20)}.eyJ${'b'.repeat(20)}.${'c'.repeat(40)}`;
  const code = 'd'.repeat(40);

  test.each<[string, string, RegExp]>([
    ['a token', `{"msg":"${token}"}`, /^access token in the log of web$/],
    ['its signature', `signature ${'c'.repeat(40)}`, /^signature of an access token in/],
    ['a code', `GET /callback?code=${code}&state=x`, /^code in the log of web$/],
    ['an unknown JWT', `eyJ${'x'.repeat(12)}.eyJ${'y'.repeat(12)}.z`, /^a JWT in/],
    ['a secret that lasts', 'login with hunter2-hunter2', /^password in the log of web/],
  ])('%s is found', (_name, log, expected) => {
    const secrets = new Secrets([{ kind: 'password', value: 'hunter2-hunter2' }]);
    secrets.learn(`authorization: Bearer ${token}`);
    secrets.learn(`location: /callback?code=${code}`);
    expect(secrets.find(new Map([['web', log]]))).toEqual([expect.stringMatching(expected)]);
    expect(new Secrets([]).find(new Map([['web', 'GET /contacts']]))).toEqual([]);
  });
});

describe('a token', () => {
  const token = (mintedAt: number) => ({
    value: 't',
    mintedAt,
    goodUntil: performance.now() + 10_000,
  });

  test('is not valid after its key was revoked, or while the clock was wrong', () => {
    const facts = new TokenFacts();
    const early = token(performance.now());
    expect(facts.isValid(early)).toBe(true);
    facts.keysWereRevoked();
    expect(facts.isValid(early)).toBe(false);
    expect(facts.isValid(token(performance.now() + 1))).toBe(true);
    facts.clockGoesWrong();
    expect(facts.isValid(token(performance.now() + 1))).toBe(false);
    facts.clockIsRight();
    expect(facts.isValid(token(performance.now() + 1))).toBe(true);
    expect(facts.isValid({ ...token(performance.now() + 1), goodUntil: 0 })).toBe(false);
  });
});

test('the same seed gives the same numbers, and forks are independent', () => {
  const drawn = (seed: number, more: number) => {
    const random = new Random(seed);
    const [one, other] = [random.fork(), random.fork()];
    for (let i = 0; i < more; i += 1) one.next();
    return [other.next(), ...other.shuffled([1, 2, 3, 4]), other.integer(5, 9)];
  };
  expect(drawn(7, 0)).toEqual(drawn(7, 50));
  expect(drawn(7, 0)).not.toEqual(drawn(8, 0));
});
