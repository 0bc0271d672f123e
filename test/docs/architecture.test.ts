import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { findCircle, reachableFrom, readImports } from '../support/imports.ts';
import { read } from '../support/snippets.ts';

const MAX_LINES = 300;

const page = read('docs/architecture.md');
const imports = readImports();
const exists = (path: string) =>
  existsSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)));

/** The package of a file, its entry for tests apart. */
function layerOf(file: string): string {
  const [, name = '', testing] = /^([\w-]+)\/src\/(testing[./])?/.exec(file) ?? [];
  return testing ? `${name}/testing` : name;
}

function section(heading: string): string {
  const [, after] = page.split(`\n## ${heading}\n`);
  if (after === undefined) throw new Error(`docs/architecture.md has no section "${heading}"`);
  return after.split('\n## ')[0] ?? '';
}

describe('layers', () => {
  test('packages import each other as drawn, and in no other way', () => {
    const names = new Map(
      [...page.matchAll(/(\w+)\["([^"]+)"\]/g)].map(([, id = '', name = '']) => [id, name]),
    );
    const [drawing = ''] = /```mermaid\n[\s\S]*?```/.exec(page) ?? [];
    const nodes = /([\w-]+)(?:\["[^"]+"\])?/.source;
    const drawn = [...drawing.matchAll(new RegExp(`${nodes} -(?:-|\\.-)> ${nodes}`, 'g'))].map(
      ([, from = '', to = '']) => `${names.get(from) ?? from} → ${names.get(to) ?? to}`,
    );
    const real = [...imports].flatMap(([file, targets]) =>
      targets
        .filter((target) => target.file.split('/')[0] !== file.split('/')[0])
        .map((target) => `${layerOf(file)} → ${layerOf(target.file)}`),
    );
    expect(drawn.length).toBeGreaterThan(0);
    expect([...new Set(real)].sort()).toEqual(drawn.sort());
  });

  test('nothing that serves imports what is for tests', () => {
    const wrong = [...imports].flatMap(([file, targets]) =>
      targets
        .filter((target) => layerOf(target.file).endsWith('/testing'))
        .filter(() => !layerOf(file).endsWith('/testing'))
        .map((target) => `${file} → ${target.file}`),
    );
    expect(wrong).toEqual([]);
  });

  test('every import names a file, and none lead round in a circle', () => {
    const missing = [...imports].flatMap(([file, targets]) =>
      targets.filter((target) => !imports.has(target.file)).map((target) => [file, target.file]),
    );
    expect(missing).toEqual([]);
    expect(findCircle(imports)).toBeUndefined();
  });

  test('main is imported by nobody, and settings by nobody but main', () => {
    const importers = (name: string) =>
      [...imports]
        .filter(([, targets]) =>
          targets.some(({ file, typesOnly }) => file.endsWith(`/src/${name}`) && !typesOnly),
        )
        .map(([file]) => file.split('/src/')[1]);
    expect(importers('main.ts')).toEqual([]);
    expect(new Set(importers('settings.ts'))).toEqual(new Set(['main.ts']));
  });

  test('only settings read the environment', () => {
    const readers = [...imports.keys()].filter((file) =>
      read(`packages/${file}`).includes('process.env'),
    );
    // It is handed to `readSettings`.
    expect(readers.filter((file) => !/\/(main|dry-run)\.ts$/.test(file))).toEqual([]);
  });
});

describe.each(['One request, `GET /contacts` with a token', 'One login'])('%s', (heading) => {
  const steps = section(heading)
    .split('\n')
    .filter((line) => /^\d+\. /.test(line));
  const named = namedFiles(steps.join('\n'));

  test('names files that exist', () => {
    expect(steps.length).toBeGreaterThan(5);
    expect(named.length).toBeGreaterThanOrEqual(steps.length);
    expect(named.filter(({ file }) => !imports.has(file))).toEqual([]);
  });

  test('each is imported, by some way, by the one before it or by an app', () => {
    const apps = [
      'contacts-api/src/app.ts',
      'contacts-web/src/app.ts',
      'authorization-server/src/app.ts',
    ];
    const reachedByApps = new Set(apps.flatMap((app) => [...reachableFrom(imports, app)]));
    const stray = named.filter(
      ({ file }, i) =>
        !reachedByApps.has(file) && !reachableFrom(imports, named[i - 1]?.file ?? '').has(file),
    );
    expect(stray).toEqual([]);
  });

  test('an arrow stands for imports that lead from the one to the other', () => {
    const arrows = named.flatMap((to, i) =>
      to.byArrow ? [[named[i - 1]?.file ?? '', to.file]] : [],
    );
    expect(arrows.length).toBeGreaterThan(0);
    const wrong = arrows.filter(([from = '', to = '']) => !reachableFrom(imports, from).has(to));
    expect(wrong).toEqual([]);
  });
});

describe('the page', () => {
  test('names only files that exist, wherever they are', () => {
    const names = [...page.matchAll(/`([\w./-]+\.(?:tsx?|md|mjs))`/g)].map(([, name = '']) => name);
    const sources = [...imports.keys()];
    const gone = names.filter(
      (name) =>
        !exists(name) &&
        !exists(`packages/${name}`) &&
        !sources.some(
          (file) => file.endsWith(`/${name}`) || exists(`packages/${file.split('/')[0]}/${name}`),
        ),
    );
    expect(names.length).toBeGreaterThan(50);
    expect(gone).toEqual([]);
  });

  test(`tells why a file is longer than ${MAX_LINES} lines`, () => {
    const listed = [...section('Long files').matchAll(/^- `([\w./-]+)`: \w+/gm)].map(
      ([, file = '']) => file,
    );
    const linesOf = (file: string) => read(`packages/${file}`).split('\n').length - 1;
    const long = [...imports.keys()].filter((file) => linesOf(file) > MAX_LINES);
    expect(long.filter((file) => !listed.includes(file))).toEqual([]);
    expect(listed.filter((file) => !imports.has(file) || linesOf(file) < 200)).toEqual([]);
  });
});

/** The files that a list names, in order. A name without a folder belongs to the one before it. */
function namedFiles(list: string): { file: string; byArrow: boolean }[] {
  let before = '';
  return [...list.matchAll(/(→ )?`([\w./-]+\.tsx?)`/g)].map(([, arrow, name = '']) => {
    const folders = before.split('/').slice(0, -1);
    const places = folders.map((_, i) => [...folders.slice(0, folders.length - i), name].join('/'));
    const file = [name, ...places].find((path) => imports.has(path)) ?? name;
    if (imports.has(file)) before = file;
    return { file, byArrow: arrow !== undefined };
  });
}
