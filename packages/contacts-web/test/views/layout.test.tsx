import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { renderToString } from 'preact-render-to-string';
import { codePoint } from '../../../../test/support/properties.ts';
import { Avatar, initials } from '../../src/views/layout.tsx';

test.each([
  ['Ada Lovelace', 'AL'],
  ['ada', 'A'],
  ['Ada King, Countess of Lovelace', 'AL'],
  ['zoë zimmer', 'ZZ'],
  ['ada@example.com', 'AE'],
  ['李 小龍', '李小'],
  ['محمد بن عبد الله', 'م'],
  ['Omar عمر', 'O'],
  ['כהן לוי', 'כל'],
  ['', '?'],
  ['—', '?'],
])('the initials of %s are %s', (name, expected) => {
  expect(initials(name)).toBe(expected);
});

test('every name has one tint and is escaped', () => {
  fc.assert(
    fc.property(fc.string({ unit: codePoint }), (name) => {
      const html = renderToString(<Avatar name={name} />);
      expect(html).toMatch(/^<span class="avatar tint-[0-5]" aria-hidden="true">[^<]+<\/span>$/);
    }),
  );
});
