import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { findProofs, provedTags, tagsOf, withProofs } from '../../scripts/src/proofs.ts';
import { proves } from '../support/proves.ts';
import { read } from '../support/snippets.ts';

const page = read('docs/security.md');
const tags = tagsOf(page);
const proofs = findProofs(fileURLToPath(new URL('../../', import.meta.url)));

/** Returns the numbers of a chapter's requirements, given the number in each section. */
const chapter = (number: number, ...sections: number[]): string[] =>
  sections.flatMap((length, section) =>
    Array.from({ length }, (_, index) => `${number}.${section + 1}.${index + 1}`),
  );

/** Clauses of the FAPI 2.0 Security Profile: a section, and the number of an item in its list. */
const FAPI_CLAUSES = [
  ...['§5.2.1', '§5.2.2', '§5.2.3', '§5.3.2', '§5.4.2', '§5.4.3'],
  ...Object.entries({ '§5.3.3.1': 13, '§5.3.3.2': 7, '§5.3.4': 5, '§5.4.1': 4 }).flatMap(
    ([section, items]) => Array.from({ length: items }, (_, index) => `${section}-${index + 1}`),
  ),
];

describe('docs/security.md', () => {
  test('has rows with different names, and a proof of each', () => {
    expect(tags.length).toBeGreaterThan(100);
    expect(new Set(tags).size).toBe(tags.length);
    expect(tags.filter((tag) => !proofs.some((proof) => proof.tag === tag))).toEqual([]);
  });

  test('has a row for each proof', () => {
    expect(proofs.filter(({ tag }) => !tags.includes(tag))).toEqual([]);
  });

  test('is as `npm run docs` writes it', () => {
    expect(withProofs(page, proofs)).toBe(page);
  });

  test.each<[string, string, string[]]>([
    ['OWASP ASVS 5.0 V7', 'ASVS', chapter(7, 3, 4, 2, 5, 3, 2)],
    ['OWASP ASVS 5.0 V9', 'ASVS', chapter(9, 3, 4)],
    ['OWASP ASVS 5.0 V10', 'ASVS', chapter(10, 2, 3, 5, 16, 5, 2, 3)],
    ['RFC 8725 §3', 'RFC 8725', Array.from({ length: 12 }, (_, index) => `§3.${index + 1}`)],
    ['RFC 9700 §2', 'RFC 9700', ['§2.1.1', '§2.1.2', '§2.2.1', '§2.2.2', '§2.3', '§2.4', '§2.5']],
    ['the FAPI 2.0 Security Profile', 'FAPI 2.0', FAPI_CLAUSES],
    ['RFC 9700 §4', 'RFC 9700', Array.from({ length: 17 }, (_, index) => `§4.${index + 1}`)],
  ])('leaves out nothing of %s', (_, document, numbers) => {
    const entries = [
      ...tags.filter((tag) => tag.startsWith(`${document} `)),
      ...[...page.matchAll(new RegExp(`^- \\*\\*[^*]*${document}[^*]*\\*\\*`, 'gm'))].map(String),
    ];
    const missing = numbers.filter(
      (number) => !entries.some((entry) => new RegExp(` ${number}(?!\\d)`).test(entry)),
    );
    expect(missing).toEqual([]);
  });
});

describe('proves', () => {
  const before = expect.getState().currentTestName;

  test('accepts the name of a row, and rejects another', () => {
    expect(() => proves('RFC 6750 §5.1 replay', 'ASVS 7.1.1')).not.toThrow();
    expect(() => proves('RFC 6750 §5.9 replay')).toThrow('has no row "RFC 6750 §5.9 replay"');
  });

  test('rejects a call outside of a test', () => {
    const { currentTestName = '' } = expect.getState();
    try {
      expect.setState({ currentTestName: before });
      expect(() => proves('ASVS 7.1.1')).toThrow('in a test');
    } finally {
      expect.setState({ currentTestName });
    }
  });

  test('counts in a test that runs, and in no skipped one', () => {
    // The name is a variable, so that these calls are no proofs.
    const call = 'proves';
    const source = `
test('runs', () => {
  ${call}('a', 'b');
});
describe.skip('not these', () => {
  test('is skipped', () => {
    ${call}('c');
  });
});
(available ? describe : describe.skip)('with Redis', () => {
  test.skip.each([
    ['a'],
  ])('%s', () => {
    ${call}('d');
  });
  test.each([
    ['a'],
  ])(
    '%s',
    async () => {
      ${call}('e');
    },
  );
});
`;
    expect(provedTags(source)).toEqual(['a', 'b', 'e']);
  });
});
