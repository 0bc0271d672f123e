import { createHash } from 'node:crypto';
import { type FSWatcher, readdirSync, readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Tenant } from './tenant.ts';
import { isFolder } from './tenant-files.ts';

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
  #tenant: Tenant;
  #seen: string;
  #fault: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TenantWatchOptions) {
    this.#options = options;
    this.#tenant = options.tenant;
    this.#seen = fingerprint(this.#tenant.watched);
    this.#watchFolders();
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
  }

  #read(): void {
    const { watched } = this.#tenant;
    const found = fingerprint(watched);
    // A wrong tenant may wait for a file that the one in use does not name.
    if (found === this.#seen && this.#fault === undefined) return;
    try {
      const changed = this.#tenant.reload();
      this.#options.onChange(changed);
      // `found` is older than what was read: a write since then counts as a change of its own.
      const isSame = String(changed.watched) === String(watched);
      this.#seen = isSame ? found : fingerprint(changed.watched);
      this.#tenant = changed;
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
    const folders = new Set(this.#tenant.watched.map(folderOf));
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

function folderOf(path: string): string {
  return isFolder(path) ? path : dirname(path);
}

function fingerprint(paths: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of paths) {
    try {
      const content = isFolder(path) ? readdirSync(path).join('/') : readFileSync(path);
      hash.update(createHash('sha256').update(content).digest());
    } catch {
      hash.update('missing');
    }
  }
  return hash.digest('hex');
}
