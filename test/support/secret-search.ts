export interface Secret {
  readonly kind: string;
  readonly value: string;
}

export interface Place {
  readonly name: string;
  readonly text: string;
}

/**
 * Looks for secrets in places: as they are, and as an encoding writes them.
 *
 * @returns what was found where, without the secret
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

/** @returns each text that gives the secret away → how it is written */
function spellings(value: string): [string, string][] {
  const bytes = Buffer.from(value);
  const parts = value.split('.');
  const all: [string, string][] = [
    ['as it is', value],
    ['in a URL', encodeURIComponent(value)],
    ['in a form', new URLSearchParams({ '': value }).toString().slice(1)],
    ['in hexadecimal', bytes.toString('hex')],
    // Who has the signature has all of a token whose claims are shown.
    ...(parts.length === 3 ? [['by its signature', parts[2] ?? ''] as [string, string]] : []),
  ];
  // Within a longer text, base64 begins at any of three bits of it.
  for (const before of [0, 1, 2]) {
    const shifted = Buffer.concat([Buffer.alloc(before), bytes]);
    const from = Math.ceil((before * 8) / 6);
    const to = Math.floor((shifted.length * 8) / 6);
    for (const encoding of ['base64', 'base64url'] as const) {
      all.push([`in ${encoding}`, shifted.toString(encoding).slice(from, to)]);
    }
  }
  // The first is the plainest of those that read the same.
  return [...new Map(all.reverse().map(([spelling, needle]) => [needle, spelling]))];
}
