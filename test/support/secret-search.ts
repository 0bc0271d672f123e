export interface Secret {
  readonly kind: string;
  readonly value: string;
}

export interface Place {
  readonly name: string;
  readonly text: string;
}

/**
 * Looks for secrets in places, also in encoded form.
 *
 * @returns kind and place of each finding, without the secret
 */
export function findSecrets(secrets: readonly Secret[], places: readonly Place[]): string[] {
  const texts = new Map(places.map(({ name, text }) => [text, name]));
  const found = secrets.flatMap(({ kind, value }) =>
    spellings(value).flatMap(([needle, spelling]) =>
      [...texts]
        .filter(([text]) => text.includes(needle))
        .map(([, name]) => `${kind} in ${name}, ${spelling}`),
    ),
  );
  return [...new Set(found)];
}

/** @returns each text that reveals the secret → its encoding */
function spellings(value: string): [string, string][] {
  const bytes = Buffer.from(value);
  const parts = value.split('.');
  const all: [string, string][] = [
    ['as it is', value],
    ['in a URL', encodeURIComponent(value)],
    ['in a form', new URLSearchParams({ '': value }).toString().slice(1)],
    ['in hexadecimal', bytes.toString('hex')],
    // With the signature, a token whose claims are shown is complete.
    ...(parts.length === 3 ? [['by its signature', parts[2] ?? ''] as [string, string]] : []),
  ];
  // In a longer text, base64 has three possible offsets.
  for (const before of [0, 1, 2]) {
    const shifted = Buffer.concat([Buffer.alloc(before), bytes]);
    const from = Math.ceil((before * 8) / 6);
    const to = Math.floor((shifted.length * 8) / 6);
    for (const encoding of ['base64', 'base64url'] as const) {
      all.push([`in ${encoding}`, shifted.toString(encoding).slice(from, to)]);
    }
  }
  // The first of equal texts has the plainest encoding.
  return [...new Map(all.reverse().map(([spelling, needle]) => [needle, spelling]))];
}
