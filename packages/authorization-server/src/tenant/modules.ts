import { readFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { isAbsolute, join } from 'node:path';
import type { Action, Rule } from './tenant.ts';

/** A module with its version, as rules name one: `lodash@4.17.10`, `@scope/name@1.2`. */
const VERSIONED = /^((?:@[^/@]+\/)?[^/@]+)@([^/@]+)$/;
const EXACT = /^\d+\.\d+\.\d+\S*$/;

type Require = (id: unknown) => unknown;
type Source = Pick<Action, 'file' | 'folder' | 'dependencies'> | Pick<Rule, 'file' | 'folder'>;

/** Reported differences of versions, by file and module. */
const reported = new Set<string>();

/**
 * Returns `require` for an Action or a rule. It searches the folders above the file, then the tenant's
 * folder. It warns once if a module has another version than the named one.
 */
export function requireOf(source: Source, warn: (line: string) => void): Require {
  const own = createRequire(source.file);
  const dependencies = 'dependencies' in source ? source.dependencies : undefined;
  const require: Require = (id) => {
    const [, versioned, given] = VERSIONED.exec(String(id)) ?? [];
    const name = versioned ?? String(id);
    if (isBuiltin(name)) return own(name);
    const version = given ?? dependencies?.[name];
    try {
      const path = resolvePath(name, source, own);
      const installed = installedVersion(path, name);
      const difference = `${source.file} ${name}`;
      const differs = EXACT.test(version ?? '') && installed !== undefined && installed !== version;
      if (differs && !reported.has(difference)) {
        reported.add(difference);
        warn(`the module ${name} has the version ${installed} here, not ${version}`);
      }
      return own(path);
    } catch (error) {
      throw toModuleError(error, name, version);
    }
  };
  // With `resolve` and `cache`, as Node's own has them.
  return Object.assign(require, own);
}

function resolvePath(name: string, { folder }: Source, own: NodeJS.Require): string {
  try {
    return own.resolve(name);
  } catch (error) {
    if (folder === undefined || name.startsWith('.')) throw error;
    return createRequire(join(folder, 'tenant.yaml')).resolve(name);
  }
}

function installedVersion(path: string, name: string): string | undefined {
  const folder = join('node_modules', name);
  const at = path.lastIndexOf(folder);
  if (at === -1) return undefined;
  try {
    const manifest = readFileSync(join(path.slice(0, at + folder.length), 'package.json'), 'utf8');
    return (JSON.parse(manifest) as { version?: string }).version;
  } catch {
    return undefined;
  }
}

/** A folder of this machine before a module's path. */
const FOLDER = /(?:\/|[A-Z]:\\)[^"'\n]*?(?=node_modules[\\/])/gi;

/** Returns an error without the paths of this machine that Node's message has: the client gets its text. */
function toModuleError(error: unknown, name: string, version: string | undefined): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  const [, found] = /^Cannot find module '([^']+)'/.exec(message) ?? [];
  if (code === 'MODULE_NOT_FOUND' && found !== undefined) {
    // For a package without its main file, Node names the path of that file.
    const missing = isAbsolute(found) ? name : found;
    const wanted = missing === name && version ? `${name}@${version}` : missing;
    const help = missing.startsWith('.')
      ? 'the file is not there'
      : `run "npm install ${wanted}" in the folder of the tenant file`;
    return new Error(`the module "${missing}" is not available locally: ${help}`);
  }
  const text = String(message).replace(FOLDER, '');
  return text === message ? error : Object.assign(new Error(text), { code });
}
