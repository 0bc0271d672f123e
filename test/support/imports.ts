import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packages = fileURLToPath(new URL('../../packages', import.meta.url));

/** A file that a source imports: its path below `packages/`, and `typesOnly`. */
interface Import {
  readonly file: string;
  readonly typesOnly: boolean;
}

/** Returns every source of the packages, by its path below `packages/`, with its imports. */
export function readImports(): ReadonlyMap<string, readonly Import[]> {
  const files = readdirSync(packages, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => /^[\w-]+\/src\/.*\.tsx?$/.test(file));
  return new Map(files.map((file) => [file, importsOf(file)]));
}

/** Returns the file and all files that it imports, directly or not, also for types. */
export function reachableFrom(
  imports: ReturnType<typeof readImports>,
  file: string,
): ReadonlySet<string> {
  const reached = new Set([file]);
  for (const one of reached) for (const next of imports.get(one) ?? []) reached.add(next.file);
  return reached;
}

/** Returns a chain of imports, those of types included, that leads from a file back to it. */
export function findCircle(imports: ReturnType<typeof readImports>): string[] | undefined {
  const done = new Set<string>();
  const follow = (file: string, way: string[]): string[] | undefined => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of imports.get(file) ?? []) {
      const circle = follow(next.file, [...way, file]);
      if (circle) return circle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of imports.keys()) {
    const circle = follow(file, []);
    if (circle) return circle;
  }
  return undefined;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(packages, file), 'utf8');
  const named = [...text.matchAll(/^(?:import|export) (type )?[^;]*?from '([^']+)'/gm)].map(
    ([, type, from = '']) => ({ from, typesOnly: type !== undefined }),
  );
  const bare = [...text.matchAll(/(?:^import |\bimport\()'([^']+)'/gm)].map(([, from = '']) => ({
    from,
    typesOnly: false,
  }));
  return [...named, ...bare].flatMap(({ from, typesOnly }) => {
    const target = resolve(file, from);
    return target === undefined ? [] : [{ file: target, typesOnly }];
  });
}

/** Returns the source that an import names; undefined for other packages. */
function resolve(file: string, from: string): string | undefined {
  if (from.startsWith('.')) return join(dirname(file), from).replaceAll('\\', '/');
  const [, name, entry = ''] = /^@koa-oauth\/([\w-]+)(?:\/([\w-]+))?$/.exec(from) ?? [];
  if (!name) return undefined;
  const manifest = JSON.parse(readFileSync(join(packages, name, 'package.json'), 'utf8'));
  const { types } = manifest.exports[entry ? `./${entry}` : '.'];
  return `${name}/${types.replace('./dist/', 'src/').replace(/\.d\.ts$/, '.ts')}`;
}
