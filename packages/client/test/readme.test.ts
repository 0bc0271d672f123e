import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import * as client from '../src/index.ts';
import { OPTION_NAMES } from '../src/options.ts';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
const readme = read('../README.md');

const codes = [...read('../src/errors.ts').matchAll(/^ {2}(ERR_\w+): \[(\d+)/gm)];
const options = Object.entries(OPTION_NAMES).flatMap(([group, names]) =>
  Object.keys(names)
    .filter((name) => !Object.hasOwn(OPTION_NAMES, name))
    .map((name) => (group === '' ? name : `${group}.${name}`)),
);

describe('README', () => {
  test.each(codes.map(([, code = '', status = '']) => [code, status]))(
    'the table of errors has %s with its status %s',
    (code, status) => {
      const [, cell] = new RegExp(`^\\| \`${code}\` \\| ([^|]+) \\|`, 'm').exec(readme) ?? [];
      expect(cell).toContain(status);
    },
  );

  test('the table has no code that is none', () => {
    const known = codes.map(([, code]) => code);
    const issuers = ['ERR_ISSUER_UNAVAILABLE', 'ERR_INVALID_METADATA', 'ERR_INVALID_OPTIONS'];
    const listed = [...readme.matchAll(/^\| `(ERR_\w+)`/gm)].map(([, code]) => code);
    expect(listed.sort()).toEqual([...known, ...issuers].sort());
  });

  test('the table of options has each and no other', () => {
    const [table = ''] = readme.split('## Options of `auth()`')[1]?.split('\n## ') ?? [];
    const listed = [...table.matchAll(/^\| `([\w.]+)` \|/gm)].map(([, name]) => name);
    expect(listed.sort()).toEqual([...options].sort());
  });

  test('what it imports and names is exported', () => {
    for (const name of ['refuseCrossSite', 'safeReturnTo', 'hasCode', 'memoryStore', 'fileStore']) {
      expect(readme).toContain(`${name}(`);
      expect(client).toHaveProperty(name);
    }
  });
});
