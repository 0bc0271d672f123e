import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { LIBRARIES } from '../support/empty-folder.ts';
import { read } from '../support/snippets.ts';

const DECLARATION =
  /^export (?:declare )?(?:abstract )?(?:function|class|interface|type|const) (\w+)/gm;

/** Returns the exports of a declaration file, each with the file that declares it. */
function exportsOf(file: string): [name: string, file: string][] {
  const own = [...read(file).matchAll(DECLARATION)].map(([, name = '']): [string, string] => [
    name,
    file,
  ]);
  const passedOn = [
    ...read(file).matchAll(/^export (?:type )?\{([^}]+)\} from '(\.\/[^']+)\.ts'/gm),
  ];
  const others = passedOn.flatMap(([, names = '', from = '']) => {
    const there = new Map(exportsOf(join(dirname(file), `${from}.d.ts`)));
    return names
      .split(',')
      .map((name) => name.replace(/\/\*.*\*\/|^\s*type | as \w+/g, '').trim())
      .filter((name) => name !== '')
      .map((name): [string, string] => [name, there.get(name) ?? 'no file']);
  });
  return [...own, ...others];
}

function isDocumented(name: string, file: string): boolean {
  const at = [...read(file).matchAll(DECLARATION)].find(([, declared]) => declared === name);
  return read(file).slice(0, at?.index).trimEnd().endsWith('*/');
}

describe.each(
  LIBRARIES.flatMap((library) => {
    const { exports } = JSON.parse(read(`packages/${library}/package.json`));
    return Object.values<{ types: string }>(exports).map(({ types }) => [library, types.slice(2)]);
  }),
)('%s, %s', (library = '', types = '') => {
  test('every export has a docstring', () => {
    const exported = exportsOf(`packages/${library}/${types}`);
    expect(exported.length).toBeGreaterThan(0);
    const bare = exported.filter(([name, file]) => !isDocumented(name, file));
    expect(bare.map(([name, file]) => `${name} of ${file}`)).toEqual([]);
  });
});
