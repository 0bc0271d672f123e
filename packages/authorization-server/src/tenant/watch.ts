import { createHash } from 'node:crypto';
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { loadTenant } from './load.ts';
import type { Tenant } from './tenant.ts';

interface TenantWatchOptions {
  /** What is used now; its file and the Action and rule files that it names are watched. */
  readonly tenant: Tenant;
  /** Takes a changed tenant that is right; when it throws, the tenant counts as wrong. */
  readonly onChange: (tenant: Tenant) => void;
  /** Told why a changed tenant is not taken, or why a folder can't be watched. */
  readonly onFault: (error: Error) => void;
  /** Milliseconds without a change before the files are read: an editor writes in several steps. */
  readonly settle?: number;
}

/**
 * Reads the tenant file again when it, or a file that it names, has changed. Folders are watched,
 * not files: an editor that writes a new file in the old one's place is noticed too.
 *
 * @returns ends the watch.
 */
export function watchTenant({
  tenant,
  onChange,
  onFault,
  settle = 100,
}: TenantWatchOptions): () => void {
  const watchers = new Map<string, FSWatcher>();
  let files = filesOf(tenant);
  let seen = fingerprint(files);
  let fault: string | undefined;
  let timer: NodeJS.Timeout | undefined;

  const read = (): void => {
    const found = fingerprint(files);
    // A wrong tenant may wait for a file that the one in use does not name.
    if (found === seen && fault === undefined) return;
    try {
      const changed = loadTenant(tenant.file);
      onChange(changed);
      const named = filesOf(changed);
      // Taken before the files were read: what was written since counts as a change of its own.
      seen = String(named) === String(files) ? found : fingerprint(named);
      files = named;
      fault = undefined;
      watchFolders();
    } catch (error) {
      const { message } = error as Error;
      if (found !== seen || message !== fault) onFault(error as Error);
      seen = found;
      fault = message;
    }
  };
  const watchFolders = (): void => {
    const folders = new Set(files.map((file) => dirname(file)));
    for (const [folder, watcher] of watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      watchers.delete(folder);
    }
    for (const folder of folders) {
      if (watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { persistent: false }, () => {
          clearTimeout(timer);
          timer = setTimeout(read, settle).unref();
        });
        watchers.set(folder, watcher.on('error', onFault));
      } catch (error) {
        onFault(error as Error);
      }
    }
  };
  watchFolders();
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers.values()) watcher.close();
  };
}

function filesOf({ file, actions, rules }: Tenant): string[] {
  const named = [...actions.map(({ code }) => code), ...rules.map(({ script }) => script)];
  return [file, ...named.map((name) => resolve(dirname(file), name))];
}

function fingerprint(files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) {
    try {
      hash.update(createHash('sha256').update(readFileSync(file)).digest());
    } catch {
      hash.update('missing');
    }
  }
  return hash.digest('hex');
}
