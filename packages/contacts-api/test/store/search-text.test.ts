import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { codePoint } from '../../../../test/support/properties.ts';
import { searchText } from '../../src/store/search-text.ts';

test.each([
  ['Émilie', 'emilie'],
  ['Straße', 'STRASSE'],
  ['ΣΩΣ', 'σως'],
  ['Ångström', 'angstrom'],
  ['ﬁne', 'FINE'],
  ['한국', '한국'],
  ['Łukasz Słoń', 'lukasz slon'],
  ['Jeanne d’Arc', "d'arc"],
  ["O'Brien", 'o´brien'],
  ['Anne‑Marie – Lyon', 'anne-marie - lyon'],
  ['“Łodź”', '"lodz"'],
  ['Đorđe Ærøskøbing', 'dorde aeroskobing'],
  ['Dvo\u00adřák', 'dvorak'],
  ['İstanbul ılık', 'istanbul ilik'],
  ['ΟΔΥΣΣΕΥΣ', 'οδυσσευς'],
])('%s is found as %s', (name, asked) => {
  expect(searchText(name)).toContain(searchText(asked));
});

test('parts stay separate, and absent parts add nothing', () => {
  expect(searchText('A', undefined, null, 'B')).toBe('a\nb');
});

test('a part has at most 200 characters after normalization', () => {
  for (const character of ['ﷺ', '한', 'ß', 'ﬃ', '𝔘', '\ud800']) {
    const text = searchText(character.repeat(200), character.repeat(200));
    expect(text.length).toBeLessThanOrEqual(401);
    expect(text).not.toMatch(/\p{Cs}/u);
  }
  fc.assert(
    fc.property(fc.string({ unit: codePoint, maxLength: 300 }), (text) => {
      expect(searchText(text).length).toBeLessThanOrEqual(200);
    }),
  );
});
