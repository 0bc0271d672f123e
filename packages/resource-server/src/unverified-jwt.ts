import { InvalidTokenError } from './errors.ts';

/** A JWT taken apart. Nothing in it may be believed before its signature held. */
export interface UnverifiedJwt {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Readonly<Record<string, unknown>>;
}

const MAX_LENGTH = 16 * 1024;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Takes a compact JWS apart (RFC 7515 §7.1, RFC 7519 §7.2), strictly: three parts in canonical
 * base64url, valid UTF-8, JSON objects without duplicate member names.
 *
 * @throws InvalidTokenError `malformed` or `oversized`
 */
export function decodeJwt(token: string): UnverifiedJwt {
  if (token.length > MAX_LENGTH)
    throw new InvalidTokenError('oversized', `${token.length} characters`);
  const parts = token.split('.');
  const [header, payload, signature] = parts;
  if (parts.length !== 3 || !header || !payload || !signature) {
    throw new InvalidTokenError('malformed', `${parts.length} parts`);
  }
  decodeBase64url(signature);
  return { header: decodeObject(header), payload: decodeObject(payload) };
}

// Buffer.from takes what RFC 4648 §3.5 forbids: other alphabets, padding, stray bits at the end.
// Left alone, one token would have many spellings.
function decodeBase64url(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.toString('base64url') !== text)
    throw new InvalidTokenError('malformed', 'not canonical base64url');
  return bytes;
}

function decodeObject(part: string): Record<string, unknown> {
  const bytes = decodeBase64url(part);
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(bytes);
    value = JSON.parse(text);
  } catch {
    throw new InvalidTokenError('malformed', 'not UTF-8 encoded JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidTokenError('malformed', 'not a JSON object');
  }
  if (hasDuplicateNames(text, value))
    throw new InvalidTokenError('malformed', 'duplicate member names');
  return value as Record<string, unknown>;
}

/**
 * Whether any object in a JSON text has a name twice (RFC 7519 §4 has parsers refuse such claims):
 * JSON.parse keeps the last of them, so there are more names in the text than members in its value.
 * Another party may have believed the first.
 *
 * @param value what JSON.parse made of the text
 */
export function hasDuplicateNames(json: string, value: unknown): boolean {
  return countNames(json) !== countMembers(value);
}

const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

// In valid JSON a colon outside of strings stands behind a name, and nowhere else.
function countNames(json: string): number {
  let names = 0;
  let inString = false;
  for (let i = 0; i < json.length; i += 1) {
    const character = json.charCodeAt(i);
    if (character === QUOTE) inString = !inString;
    else if (!inString) names += character === COLON ? 1 : 0;
    else if (character === BACKSLASH) i += 1;
  }
  return names;
}

// Walks a list that grows, since nesting in a token may be deeper than the stack.
function countMembers(root: unknown): number {
  let members = 0;
  const found = [root];
  for (const value of found) {
    if (typeof value !== 'object' || value === null) continue;
    const inner = Object.values(value);
    if (!Array.isArray(value)) members += inner.length;
    for (const member of inner) if (typeof member === 'object') found.push(member);
  }
  return members;
}
