import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { read } from '../support/snippets.ts';

const WORDS = new RegExp(
  `\\b(${[
    ...['mend(s|ed)?', 'nobody', 'whoever', 'anew', 'beside', 'but for', 'in place of'],
    ...['(leave|left) aside', "can(no|')t be had"],
    ...['(behavi|col|fav|hon)our', '(authori|initiali|normali|recogni|seriali)s(ed?|ing|ation)'],
  ].join('|')})\\b`,
  'i',
);
const FRAGMENT = /(\/\/|\/\*\*|^\s*\*) (Of|What|Whether|As|By(?! default))\b/;
const COMMENT = /^\s*(\/\/|\*) /;

const root = fileURLToPath(new URL('../..', import.meta.url));
const packages = readdirSync(`${root}packages`).map((name) => `packages/${name}`);
const pages = readdirSync(root).filter((name) => name.endsWith('.md'));
const folders = ['src', 'test', 'assets', 'public', 'tenant']
  .flatMap((name) => packages.map((path) => `${path}/${name}`))
  .filter((folder) => existsSync(root + folder));
const sources = [...folders, 'docs', 'examples', 'scripts/src', 'bench/src', 'test']
  .flatMap((folder) =>
    readdirSync(root + folder, { recursive: true }).map((name) => `${folder}/${name}`),
  )
  .filter((file) => /\.(tsx?|js|css|md|yaml)$/.test(file) && !/\/dist\/|words\.test/.test(file));

test('no text has a forbidden word, and no comment begins as a fragment', () => {
  const files = [...pages, ...packages.map((path) => `${path}/README.md`), ...sources];
  const found = files.flatMap((file) =>
    read(file)
      .split('\n')
      .flatMap((line, index, lines) => {
        const isFragment = FRAGMENT.test(line) && !COMMENT.test(lines[index - 1] ?? '');
        return isFragment || WORDS.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [];
      }),
  );
  expect(files.length).toBeGreaterThan(200);
  expect(found).toEqual([]);
});
