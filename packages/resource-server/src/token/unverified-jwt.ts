import { InvalidTokenError } from '../errors.ts';

/** A decoded JWT. Nothing in it may be trusted before its signature is verified. */
export interface UnverifiedJwt {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Readonly<Record<string, unknown>>;
}

const MAX_LENGTH = 16 * 1024;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Decodes a compact JWS strictly (RFC 7515 §7.1, RFC 7519 §7.2): three parts in canonical
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

// Buffer.from accepts what RFC 4648 §3.5 forbids: other alphabets, padding, stray bits at the end.
// Without this check, one token would have many spellings.
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
  if (hasDuplicateNames(text)) throw new InvalidTokenError('malformed', 'duplicate member names');
  return value as Record<string, unknown>;
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
