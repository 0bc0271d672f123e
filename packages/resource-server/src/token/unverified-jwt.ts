import { isUtf8 } from 'node:buffer';
import { InvalidTokenError } from '../errors.ts';

/** A decoded JWT. Nothing in it may be trusted before its signature is verified. */
export interface UnverifiedJwt {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Readonly<Record<string, unknown>>;
}

const MAX_LENGTH = 16 * 1024;
const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/;
// Last characters of a part, by its length modulo 4. The bits that stand for no byte must be zero.
const LAST_CHARACTERS = [/./, /^$/, /[AQgw]/, /[AEIMQUYcgkosw048]/] as const;

/** Decoded headers by their encoded text. */
export type DecodedHeaders = ReadonlyMap<string, UnverifiedJwt['header']>;

/**
 * Decodes a compact JWS strictly (RFC 7515 §7.1, RFC 7519 §7.2): three parts in canonical
 * base64url, valid UTF-8, JSON objects without duplicate member names.
 *
 * @param headers headers that need not be decoded again
 * @throws InvalidTokenError `malformed` or `oversized`
 */
export function decodeJwt(token: string, headers?: DecodedHeaders): UnverifiedJwt {
  if (token.length > MAX_LENGTH)
    throw new InvalidTokenError('oversized', `${token.length} characters`);
  if (!COMPACT_JWS.test(token)) throw malformed('not three parts in base64url');
  const [header, payload, signature] = token.split('.') as [string, string, string];
  checkCanonical(signature);
  return {
    header: headers?.get(header) ?? decodeObject(header),
    payload: decodeObject(payload),
  };
}

// Buffer.from ignores stray bits at the end, which RFC 4648 §3.5 forbids: with them, one token would
// have many spellings.
function checkCanonical(part: string): void {
  const last = LAST_CHARACTERS[part.length % 4] as RegExp;
  if (!last.test(part.slice(-1))) throw malformed('not canonical base64url');
}

function decodeObject(part: string): Record<string, unknown> {
  checkCanonical(part);
  const bytes = Buffer.from(part, 'base64url');
  if (!isUtf8(bytes)) throw malformed('not UTF-8 encoded JSON');
  const text = bytes.toString();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed('not UTF-8 encoded JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed('not a JSON object');
  }
  if (mayHaveDuplicateNames(text, value) && hasDuplicateNames(text))
    throw malformed('duplicate member names');
  return value as Record<string, unknown>;
}

/**
 * Reports whether `hasDuplicateNames` must read a text: cheap, and false only when every name became a
 * member of its own. In a text without escapes each name is followed by `":`, spaces aside, and what
 * else looks like a name only makes the count too high.
 */
function mayHaveDuplicateNames(json: string, value: object): boolean {
  return json.includes('\\') || json.match(/"\s*:/g)?.length !== countMembers(value);
}

function countMembers(value: object): number {
  let count = 0;
  const open = [value];
  for (let object = open.pop(); object !== undefined; object = open.pop()) {
    const members = Object.values(object);
    if (!Array.isArray(object)) count += members.length;
    for (const member of members) if (typeof member === 'object' && member) open.push(member);
  }
  return count;
}

function malformed(detail: string): InvalidTokenError {
  return new InvalidTokenError('malformed', detail);
}

/**
 * Reports whether an object in a valid JSON text has a name twice (RFC 7519 §4: parsers reject such
 * claims). JSON.parse keeps the last of them; another party may have believed the first.
 *
 * It reads the text, not what JSON.parse made of it: in Node 24 and 26 that can take an escaped name
 * for another one (`"\u0022"` for `"\\"`), so a name that stands twice can look like two.
 */
export function hasDuplicateNames(json: string): boolean {
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
      // Two spellings of one name differ in their escapes; most names have none.
      const name: string = quoted.includes('\\') ? JSON.parse(quoted) : quoted.slice(1, -1);
      if (names?.has(name)) return true;
      names?.add(name);
    }
  }
  return false;
}
