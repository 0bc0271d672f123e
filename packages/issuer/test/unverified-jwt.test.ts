import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { casesOf, codePoint } from '../../../test/support/properties.ts';
import { proves } from '../../../test/support/proves.ts';
import { decodeUnverifiedJwt, hasDuplicateNames } from '../src/unverified-jwt.ts';

const encode = (value: string | Buffer) => Buffer.from(value).toString('base64url');
const compact = (header: string | Buffer, payload: string | Buffer, signature = 'c2ln') =>
  `${encode(header)}.${encode(payload)}.${signature}`;

test('a compact JWS has a header and a payload (RFC 7515 §7.1)', () => {
  expect(decodeUnverifiedJwt(compact('{"alg":"RS256"}', ' {"sub":"ä😀"}\n'))).toEqual({
    header: { alg: 'RS256' },
    payload: { sub: 'ä😀' },
  });
});

describe('malformed', () => {
  const good = compact('{"a":1}', '{"b":1}');
  const [h, p, s] = good.split('.') as [string, string, string];

  test.each<[string, string]>([
    ['nothing', ''],
    ['no dots', 'abc'],
    ['two parts', `${h}.${p}`],
    ['four parts', `${good}.${s}`],
    ['five parts, a JWE (RFC 7516 §3.1)', `${h}.${p}.${s}.${s}.${s}`],
    ['an empty header', `.${p}.${s}`],
    ['an empty payload', `${h}..${s}`],
    ['an empty signature', `${h}.${p}.`],
    ['dots only', '..'],
    ['padding at the end (RFC 7515 §2)', `${good}=`],
    ['padding in the header', `${h}=.${p}.${s}`],
    ['the alphabet of plain base64', `${h}.${p}.ab+/`],
    ['white space', `${h}.${p} .${s}`],
    ['a line break', `${h}.${p}.${s}\n`],
    ['stray bits in the signature (RFC 4648 §3.5)', `${h}.${p}.c2lnbg`.replace(/g$/, 'h')],
    ['a signature of one character', `${h}.${p}.a`],
    ['other letters', `${h}.${p}.ä`],
    ['a header that is no JSON', compact('alg', '{}')],
    ['a header that is a list', compact('[]', '{}')],
    ['a payload that is null', compact('{}', 'null')],
    ['a payload that is a list', compact('{}', '[{"sub":"a"}]')],
    ['a payload that is a string', compact('{}', '"sub"')],
    ['a payload that is a number', compact('{}', '5')],
    ['a payload with more behind it', compact('{}', '{}{}')],
    ['a payload with a comma too many', compact('{}', '{"a":1,}')],
    ['a payload that is a nested JWT (RFC 8725 §3.3)', compact('{"cty":"JWT"}', good)],
    ['a byte order mark', compact('{}', '\ufeff{}')],
    [
      'invalid UTF-8 in the payload (RFC 8725 §3.7)',
      compact('{}', Buffer.from('7b2261223a22ff227d', 'hex')),
    ],
    ['invalid UTF-8 in the header', compact(Buffer.from('7b2261223a22c3227d', 'hex'), '{}')],
    ['an overlong encoding', compact('{}', Buffer.from('7b2261223a22c0af227d', 'hex'))],
    ['an encoded surrogate', compact('{}', Buffer.from('7b2261223a22eda080227d', 'hex'))],
    ['UTF-16', compact('{}', Buffer.from('{}', 'utf16le'))],
    ['a name twice in the payload (RFC 7519 §4)', compact('{}', '{"exp":1,"exp":9}')],
    ['a name twice in the header (RFC 7515 §4)', compact('{"alg":"none","alg":"RS256"}', '{}')],
    ['a name twice, once escaped', compact('{}', '{"exp":1,"\\u0065xp":9}')],
    ['a name twice further in', compact('{}', '{"a":[{"b":{"c":1,"c":2}}]}')],
  ])('%s', (_, token) => {
    proves('RFC 8725 §3.3', 'RFC 8725 §3.7', 'RFC 9068 §4 encryption');
    expect(() => decodeUnverifiedJwt(token)).toThrow(
      expect.objectContaining({ code: 'ERR_MALFORMED_JWT' }),
    );
  });

  test('the last character of a signature has one spelling', () => {
    const token = compact('{}', '{}', Buffer.alloc(256, 7).toString('base64url'));
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const spellings = [...alphabet].filter((letter) => {
      try {
        const bytes = Buffer.from(token.slice(0, -1) + letter, 'base64url');
        decodeUnverifiedJwt(token.slice(0, -1) + letter);
        return bytes.equals(Buffer.from(token, 'base64url'));
      } catch {
        return false;
      }
    });
    expect(spellings).toEqual([token.at(-1)]);
  });
});

test('a member named __proto__ is a member, and changes nothing', () => {
  const { payload } = decodeUnverifiedJwt(compact('{}', '{"__proto__":{"sub":"admin"}}'));
  expect(payload.sub).toBeUndefined();
  expect(Object.getPrototypeOf(payload)).toBe(Object.prototype);
});

test('nesting of any depth that fits is no trouble', () => {
  const depth = 5000;
  const deep = `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
  expect(decodeUnverifiedJwt(compact('{}', deep)).payload).toHaveProperty('a');
});

describe('hasDuplicateNames', () => {
  test.each<[string, boolean]>([
    ['{}', false],
    ['{"a":1,"b":2}', false],
    ['{"a":1,"a":1}', true],
    ['{"a" : 1 , "a"\n:\t1}', true],
    ['{"":1,"":2}', true],
    ['{"a":1,"A":2}', false],
    ['{"a":"a","b":"a"}', false],
    ['["a","a"]', false],
    ['[{"a":1},{"a":1}]', false],
    ['{"a":{"a":{"a":1}}}', false],
    ['{"a":{"b":1},"b":{"a":1}}', false],
    ['{"a":{},"b":[],"a":1}', true],
    ['{"a":["x",{"y":1}],"a":1}', true],
    ['{"a":"\\"a\\":1,","b":"}{"}', false],
    ['{"a\\\\":1,"a\\\\":2}', true],
    ['{"a\\"":1,"a":2}', false],
    ['{"\\/":1,"/":2}', true],
    ['{"\\u0061":1,"a":2}', true],
    ['{"__proto__":1,"__proto__":2}', true],
    ['{"constructor":1,"toString":2}', false],
    ['{"é":1,"e\u0301":2}', false],
    ['{"\u2028":1,"\u2028":2}', true],
    ['"a"', false],
    ['5', false],
  ])('%s: %s', (json, expected) => {
    JSON.parse(json);
    expect(hasDuplicateNames(json)).toBe(expected);
  });

  test('whatever JSON.parse makes of it', () => {
    // Having read this, Node 24 and 26 take the second name of the next one for a backslash.
    for (let i = 0; i < 5; i += 1) JSON.parse('{"{":1,"\\\\":0,"a":1}');
    expect(hasDuplicateNames('{"{":1,"\\u0022":0,"\\"":1}')).toBe(true);
  });

  type Node = string | number | boolean | null | Node[] | { members: [string, Node][] };
  const node = fc.letrec<{ node: Node; name: string }>((tie) => ({
    name: fc.oneof(
      fc.constantFrom('a', 'b', '"', '\\', '{', '":', '__proto__'),
      fc.string({ maxLength: 3 }),
    ),
    node: fc.oneof(
      { maxDepth: 4 },
      fc.oneof(tie('name'), fc.integer(), fc.constantFrom(true, null)) as fc.Arbitrary<Node>,
      fc.array(tie('node'), { maxLength: 3 }),
      fc.record({ members: fc.array(fc.tuple(tie('name'), tie('node')), { maxLength: 4 }) }),
    ),
  })).node;
  const space = ['', ' ', '\n', '\t ', '\r'];

  // Some characters are written as escapes, which is another spelling of the same name.
  function quote(text: string, salt: number): string {
    if (salt % 3 > 0) return JSON.stringify(text);
    return `"${Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`;
  }

  function write(value: Node, salt: number): string {
    const gap = space[salt % space.length] as string;
    if (typeof value === 'string') return quote(value, salt);
    if (typeof value !== 'object' || value === null) return String(value);
    if (Array.isArray(value))
      return `[${value.map((v) => write(v, salt + 1)).join(`${gap},`)}${gap}]`;
    const members = value.members.map(
      ([name, v], i) => `${gap}${quote(name, salt + i)}${gap}:${gap}${write(v, salt + i + 1)}`,
    );
    return `{${members.join(',')}${gap}}`;
  }

  function isRepeated(value: Node): boolean {
    if (typeof value !== 'object' || value === null) return false;
    if (Array.isArray(value)) return value.some(isRepeated);
    const names = value.members.map(([name]) => name);
    return new Set(names).size < names.length || value.members.some(([, v]) => isRepeated(v));
  }

  test('agrees with a count of the names, however they are written', () => {
    fc.assert(
      fc.property(node, fc.nat(50), (value, salt) => {
        const json = write(value, salt);
        JSON.parse(json);
        const repeated = isRepeated(value);
        expect(hasDuplicateNames(json)).toBe(repeated);
        const decode = () => decodeUnverifiedJwt(compact('{}', `{"claim":${json}}`));
        if (repeated)
          expect(decode).toThrow(expect.objectContaining({ code: 'ERR_MALFORMED_JWT' }));
        else expect(decode().payload).toHaveProperty('claim');
      }),
      { seed: 7519, numRuns: casesOf(3000) },
    );
  });
});

test('no text of any kind makes another error than MalformedJwt', () => {
  const part = fc.oneof(
    fc.string({ unit: codePoint }),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
    fc.json().map(encode),
  );
  fc.assert(
    fc.property(fc.array(part, { minLength: 2, maxLength: 4 }), (parts) => {
      try {
        decodeUnverifiedJwt(parts.join('.'));
      } catch (error) {
        expect(error).toMatchObject({ name: 'MalformedJwt' });
      }
    }),
    { seed: 7515, numRuns: casesOf(5000) },
  );
});
