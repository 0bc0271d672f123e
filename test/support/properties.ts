import fc from 'fast-check';

/** Returns the number of cases of a property: a tenth of them, and all with `REQUIRE_ALL`. */
export function casesOf(all: number): number {
  return process.env.REQUIRE_ALL ? all : Math.ceil(all / 10);
}

/** Any code point, for `fc.string({ unit })`. The unit `binary` of fast-check takes a second to start. */
export const codePoint = fc
  .oneof(fc.nat(0x7f), fc.nat(0xd7ff), fc.integer({ min: 0xe000, max: 0x10ffff }))
  .map((point) => String.fromCodePoint(point));

const words = fc.array(fc.string({ unit: codePoint }), { maxLength: 3 });

/** Any address of a web page. The one of fast-check is as slow to start. */
export const webUrl = fc
  .tuple(fc.constantFrom('http:', 'https:'), fc.domain(), words, words)
  .map(([scheme, host, path, query]) => {
    const search = query.length > 0 ? `?${query.map(encodeURIComponent).join('&')}` : '';
    return `${scheme}//${host}/${path.map(encodeURIComponent).join('/')}${search}`;
  });
