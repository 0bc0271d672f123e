import { isUtf8 } from 'node:buffer';
import { StacklessError } from './errors.ts';

/** A decoded JWT. Nothing in it may be trusted before its signature is verified. */
export interface UnverifiedJwt {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** Error for a text that is not a JWT. Its message says why, and contains no part of the text. */
export class MalformedJwt extends StacklessError {
  override readonly name = 'MalformedJwt';
  readonly code = 'ERR_MALFORMED_JWT';
}

const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/;
// Allowed last character of a part, by the part's length modulo 4. Its bits that belong to no byte must
// be zero. No bytes have an encoding of 4n + 1 characters.
const LAST_CHARACTERS = [/./, /^$/, /[AQgw]/, /[AEIMQUYcgkosw048]/];

/**
 * Decodes a compact JWS strictly (RFC 7515 §7.1, RFC 7519 §7.2): three parts in canonical
 * base64url, valid UTF-8, JSON objects without duplicate member names. Limit the length of the text
 * before the call.
 *
 * @param decodedHeaders headers that need not be decoded again, by their encoded text
 * @throws MalformedJwt
 * @example
 * const { header, payload } = decodeUnverifiedJwt(token);
 * const keys = await issuer.signingKeys(header);
 */
export function decodeUnverifiedJwt(
  token: string,
  decodedHeaders?: ReadonlyMap<string, UnverifiedJwt['header']>,
): UnverifiedJwt {
  if (!COMPACT_JWS.test(token)) throw new MalformedJwt('not three parts in base64url');
  const [header = '', payload = '', signature = ''] = token.split('.');
  checkCanonical(signature);
  return {
    header: decodedHeaders?.get(header) ?? decodeObject(header),
    payload: decodeObject(payload),
  };
}

// Buffer.from ignores bits at the end that belong to no byte (RFC 4648 §3.5). With them, the same bytes
// would have several encodings.
function checkCanonical(part: string): void {
  if (!LAST_CHARACTERS[part.length % 4]?.test(part.slice(-1))) {
    throw new MalformedJwt('not canonical base64url');
  }
}

function decodeObject(part: string): Record<string, unknown> {
  checkCanonical(part);
  const bytes = Buffer.from(part, 'base64url');
  if (!isUtf8(bytes)) throw new MalformedJwt('not UTF-8 encoded JSON');
  const text = bytes.toString();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new MalformedJwt('not UTF-8 encoded JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MalformedJwt('not a JSON object');
  }
  if (mayHaveDuplicateNames(text, value) && hasDuplicateNames(text)) {
    throw new MalformedJwt('duplicate member names');
  }
  return value as Record<string, unknown>;
}

/**
 * Reports whether the slower `hasDuplicateNames` must read a text. It need not when the text has no
 * escapes and as many `":` as the value has members. A `":` within a string only makes the count higher.
 */
function mayHaveDuplicateNames(json: string, value: object): boolean {
  return json.includes('\\') || json.match(/"\s*:/g)?.length !== countMembers(value);
}

function countMembers(value: object): number {
  let count = 0;
  const unvisited = [value];
  for (let object = unvisited.pop(); object !== undefined; object = unvisited.pop()) {
    const members = Object.values(object);
    if (!Array.isArray(object)) count += members.length;
    for (const member of members) if (typeof member === 'object' && member) unvisited.push(member);
  }
  return count;
}

/**
 * Reports whether an object in a valid JSON text has a name twice (RFC 7519 §4, RFC 8259 §4). JSON.parse
 * keeps the last member of that name; another party may have read the first.
 *
 * @example
 * router.post('/orders', bodyParser(), (ctx) => {
 *   if (hasDuplicateNames(ctx.request.rawBody)) ctx.throw(400, 'the body has a member name twice');
 * });
 */
export function hasDuplicateNames(json: string): boolean {
  // It reads the text, not the result of JSON.parse: Node 24 and 26 can confuse escaped names (`"\u0022"`
  // with `"\\"`), so one name twice can become two members.
  const open: (Set<string> | undefined)[] = [];
  const tokens = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g;
  for (let match = tokens.exec(json); match; match = tokens.exec(json)) {
    const [text, colon] = match;
    if (text === '{') open.push(new Set());
    else if (text === '[') open.push(undefined);
    else if (text === '}' || text === ']') open.pop();
    else if (colon !== undefined) {
      const names = open.at(-1);
      const quoted = text.slice(0, text.lastIndexOf('"') + 1);
      // A name can be written with and without escapes. Most have none, and need no JSON.parse.
      const name: string = quoted.includes('\\') ? JSON.parse(quoted) : quoted.slice(1, -1);
      if (names?.has(name)) return true;
      names?.add(name);
    }
  }
  return false;
}
