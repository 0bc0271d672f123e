import { describe, expect, test } from '@jest/globals';
import { readSecurityTable } from '../../scripts/src/security-table.ts';
import { read } from '../support/snippets.ts';
import { hasTest } from '../support/test-titles.ts';

const page = read('docs/security.md');
const rows = readSecurityTable(page);

/** The numbers of a chapter's requirements, from how many each of its sections has. */
const chapter = (number: number, ...sections: number[]): string[] =>
  sections.flatMap((length, section) =>
    Array.from({ length }, (_, index) => `${number}.${section + 1}.${index + 1}`),
  );

describe('docs/security.md', () => {
  test('names tests that exist', () => {
    const missing = rows.flatMap(({ line, tests }) =>
      tests
        .filter(({ file, name }) => !hasTest(read(file), name))
        .map(({ file, name }) => `line ${line}: ${file} has no test "${name}"`),
    );
    expect(missing).toEqual([]);
  });

  test.each<[string, string, string[]]>([
    ['OWASP ASVS 5.0 V7', 'ASVS', chapter(7, 3, 4, 2, 5, 3, 2)],
    ['OWASP ASVS 5.0 V9', 'ASVS', chapter(9, 3, 4)],
    ['OWASP ASVS 5.0 V10', 'ASVS', chapter(10, 2, 3, 5, 16, 5, 2, 3)],
    ['RFC 8725 §3', 'RFC 8725', Array.from({ length: 12 }, (_, index) => `§3.${index + 1}`)],
    ['RFC 9700 §2', 'RFC 9700', ['§2.1.1', '§2.1.2', '§2.2.1', '§2.2.2', '§2.3', '§2.4', '§2.5']],
    ['RFC 9700 §4', 'RFC 9700', Array.from({ length: 17 }, (_, index) => `§4.${index + 1}`)],
  ])('leaves out nothing of %s', (_, document, numbers) => {
    const tables = page
      .split('\n## ')
      .filter((section) => section.split('\n')[0]?.includes(document));
    const entries = [
      ...tables.flatMap((section) => [...section.matchAll(/^\| (§?[\d.]+) /gm)]),
      ...page.matchAll(new RegExp(`^- \\*\\*[^*]*${document}[^*]*\\*\\*`, 'gm')),
    ].map(([entry, number]) => number ?? entry);
    const missing = numbers.filter(
      (number) => !entries.some((entry) => new RegExp(`${number}(?!\\d)`).test(entry)),
    );
    expect(missing).toEqual([]);
  });
});
