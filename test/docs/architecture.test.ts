import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { findCircle, readImports } from '../support/imports.ts';
import { read } from '../support/snippets.ts';

const page = read('docs/architecture.md');
const imports = readImports();
const exists = (path: string) =>
  existsSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)));

/** Returns the package of a file. The entry for tests is a layer of its own. */
function layerOf(file: string): string {
  const [, name = '', testing] = /^([\w-]+)\/src\/(testing[./])?/.exec(file) ?? [];
  return testing ? `${name}/testing` : name;
}

describe('layers', () => {
  test('packages import each other exactly as the drawing shows', () => {
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

  test('no other source imports a source for tests', () => {
    const wrong = [...imports].flatMap(([file, targets]) =>
      targets
        .filter((target) => layerOf(target.file).endsWith('/testing'))
        .filter(() => !layerOf(file).endsWith('/testing'))
        .map((target) => `${file} → ${target.file}`),
    );
    expect(wrong).toEqual([]);
  });

  test('every import names a file, and no imports form a circle', () => {
    const missing = [...imports].flatMap(([file, targets]) =>
      targets.filter((target) => !imports.has(target.file)).map((target) => [file, target.file]),
    );
    expect(missing).toEqual([]);
    expect(findCircle(imports)).toBeUndefined();
  });

  test('a folder has at most 18 files', () => {
    const folders = new Map<string, number>();
    for (const file of imports.keys()) {
      const folder = file.slice(0, file.lastIndexOf('/'));
      folders.set(folder, (folders.get(folder) ?? 0) + 1);
    }
    expect([...folders].filter(([, files]) => files > 18)).toEqual([]);
  });

  test('no file imports main, and only main imports settings', () => {
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
    // These pass it to `readSettings`. The last two read NODE_ENV and HTTPS_PROXY alone.
    const allowed = /\/(main|dry-run)\.ts$|^issuer\/src\/(events|http-client)\.ts$/;
    expect(readers.filter((file) => !allowed.test(file))).toEqual([]);
  });
});

test('no source uses URL.canParse, which rejects international names on Node 20 and 22', () => {
  const users = [...imports.keys()].filter((file) => /\bcanParse\(/.test(read(`packages/${file}`)));
  expect(users).toEqual([]);
});

describe('the page', () => {
  test('names only files that exist', () => {
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
});
