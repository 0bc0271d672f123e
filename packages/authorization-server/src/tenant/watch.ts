import { createHash } from 'node:crypto';
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { loadTenant } from './load.ts';
import type { Tenant } from './tenant.ts';

interface TenantWatchOptions {
  /** The tenant in use; its file and its Action and rule files are watched. */
  readonly tenant: Tenant;
  /** Uses a changed tenant that is valid; when it throws, the tenant counts as wrong. */
  readonly onChange: (tenant: Tenant) => void;
  /** Receives the reason why a changed tenant is rejected, or a folder can't be watched. */
  readonly onFault: (error: Error) => void;
  /** Time without a change before the files are read: an editor writes in several steps. */
  readonly settleMs?: number;
}

/** Reads the tenant again when a file of it changed. Editors replace files, so folders are watched. */
export class TenantWatch {
  readonly #options: TenantWatchOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  #files: readonly string[];
  #seen: string;
  #fault: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TenantWatchOptions) {
    this.#options = options;
    this.#files = filesOf(options.tenant);
    this.#seen = fingerprint(this.#files);
    this.#watchFolders();
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
  }

  #read(): void {
    const found = fingerprint(this.#files);
    // A wrong tenant may wait for a file that the one in use does not name.
    if (found === this.#seen && this.#fault === undefined) return;
    try {
      const changed = loadTenant(this.#options.tenant.file);
      this.#options.onChange(changed);
      const named = filesOf(changed);
      // `found` is older than what was read: a write since then counts as a change of its own.
      this.#seen = String(named) === String(this.#files) ? found : fingerprint(named);
      this.#files = named;
      this.#fault = undefined;
      this.#watchFolders();
    } catch (error) {
      const { message } = error as Error;
      if (found !== this.#seen || message !== this.#fault) this.#options.onFault(error as Error);
      this.#seen = found;
      this.#fault = message;
    }
  }

  #watchFolders(): void {
    const folders = new Set(this.#files.map((file) => dirname(file)));
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    const { onFault, settleMs = 100 } = this.#options;
    for (const folder of folders) {
      if (this.#watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { persistent: false }, () => {
          clearTimeout(this.#timer);
          this.#timer = setTimeout(() => this.#read(), settleMs).unref();
        });
        this.#watchers.set(folder, watcher.on('error', onFault));
      } catch (error) {
        onFault(error as Error);
      }
    }
  }
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
