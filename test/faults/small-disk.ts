import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The write-ahead log of the sessions alone needs four megabytes. */
const SIZE = '24m';

/** Small file system in memory, to be filled. It needs the right to mount. */
export class SmallDisk {
  readonly folder: string;
  readonly #ballast: string;

  /** @returns undefined without the right to mount */
  static mount(folder: string): SmallDisk | undefined {
    mkdirSync(folder);
    const options = ['-t', 'tmpfs', '-o', `size=${SIZE},mode=0700`, 'tmpfs', folder];
    return spawnSync('mount', options).status === 0 ? new SmallDisk(folder) : undefined;
  }

  private constructor(folder: string) {
    this.folder = folder;
    this.#ballast = join(folder, 'ballast');
  }

  fill(): void {
    const { bavail, bsize } = statfsSync(this.folder);
    writeFileSync(this.#ballast, Buffer.alloc(bavail * bsize));
  }

  empty(): void {
    rmSync(this.#ballast, { force: true });
  }

  unmount(): void {
    execFileSync('umount', ['-l', this.folder]);
  }
}
