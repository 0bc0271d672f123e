import type { Forge } from './forge.ts';
import { encode } from './sign-jws.ts';

/** Tokens that aren't three parts of base64url with JSON objects in them (RFC 7515 §7.1, RFC 7519 §7.2). */
export function wrongForms({ good, raw, json, spelled }: Forge) {
  const [head, payload, signature] = good.split('.') as [string, string, string];
  const prepended = (member: string) => raw(`{${member},${json().slice(1)}`);
  // Six of these make a "_" wherever they stand.
  const slashes = encode(json({ note: '??????' }));
  return {
    'exp twice': prepended('"exp":1'),
    'sub twice, once escaped': prepended('"s\\u0075b":"admin"'),
    'a name twice further in': prepended('"x":{"a":1,"a":2}'),
    'invalid UTF-8': raw(
      Buffer.concat([
        Buffer.from('{"x":"'),
        Buffer.from([0xff]),
        Buffer.from(`",${json().slice(1)}`),
      ]),
    ),
    'a byte order mark': raw(`\ufeff${json()}`),
    'payload null': raw('null'),
    'payload a list': raw(`[${json()}]`),
    'payload a string': raw(JSON.stringify('alice')),
    'payload a number': raw('5'),
    'payload a token itself': raw(good),
    'payload cut short': raw(json().slice(0, -1)),
    'payload of brackets without end': raw('['.repeat(10_000)),
    'no dots': 'abc',
    'dots only': '..',
    'two parts': `${head}.${payload}`,
    'four parts': `${good}.${signature}`,
    'five parts, as of a JWE': `${good}.${signature}.${signature}`,
    'an empty header': `.${payload}.${signature}`,
    'an empty payload': `${head}..${signature}`,
    'padding at the end': `${good}=`,
    'a signature spelled in another way': `${head}.${payload}.${respell(signature)}`,
    'a payload spelled in another way': spelled(head, respell(payload)),
    'the alphabet of plain base64': spelled(
      head,
      slashes.replaceAll('_', '/').replaceAll('-', '+'),
    ),
    // Node's own server answers 431 unless its maxHeaderSize is raised.
    'more than 16 kB': raw(json({ x: 'x'.repeat(13_000) })),
  };
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** The same bytes with other stray bits at the end, or a stray character (RFC 4648 §3.5). */
function respell(part: string): string {
  if (part.length % 4 === 0) return `${part}A`;
  return part.slice(0, -1) + ALPHABET[ALPHABET.indexOf(part.at(-1) as string) ^ 1];
}
