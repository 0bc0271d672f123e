import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** The libraries that are published, by the names of their folders. */
export const LIBRARIES = [
  'issuer',
  'resource-server',
  'client',
  'service',
  'authorization-server',
] as const;

export interface Packed {
  readonly library: (typeof LIBRARIES)[number];
  /** Path of the tarball. */
  readonly tarball: string;
  /** Folder with its unpacked files. */
  readonly unpacked: string;
  /** Paths of its files. */
  readonly files: readonly string[];
}

/** A folder outside the workspace, for the steps of a user of the packages. */
export class EmptyFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<EmptyFolder> {
    const folder = new EmptyFolder(await mkdtemp(join(tmpdir(), 'koa-oauth-empty-')));
    await folder.write('package.json', '{ "name": "own", "private": true, "type": "module" }');
    return folder;
  }

  write(name: string, text: string): Promise<void> {
    return writeFile(join(this.path, name), text);
  }

  /** Packs every library as for a release. */
  async packLibraries(): Promise<Packed[]> {
    const packed = join(this.path, 'packed');
    await mkdir(packed);
    const workspaces = LIBRARIES.flatMap((library) => ['-w', `@koa-oauth/${library}`]);
    const { stdout } = await run(
      'npm',
      ['pack', '--json', '--pack-destination', packed, ...workspaces],
      { cwd: root, env: plainEnvironment(), maxBuffer: 16 * 1024 * 1024 },
    );
    // npm 11.19 answers an object by name, npm 10 a list.
    const answers = Object.values<{ name: string; filename: string; files: { path: string }[] }>(
      JSON.parse(stdout),
    );
    return Promise.all(
      LIBRARIES.map(async (library) => {
        const answer = answers.find(({ name }) => name === `@koa-oauth/${library}`);
        if (!answer) throw new Error(`npm pack did not pack ${library}`);
        const tarball = join(packed, answer.filename);
        const unpacked = join(packed, library);
        await mkdir(unpacked);
        await run('tar', ['-xzf', tarball, '-C', unpacked, '--strip-components=1']);
        return { library, tarball, unpacked, files: answer.files.map(({ path }) => path) };
      }),
    );
  }

  /** Installs packages; other packages come from the registry. */
  async install(packages: readonly string[]): Promise<void> {
    await this.run('npm', [
      'install',
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      ...packages,
    ]);
  }

  /**
   * Runs a program in the folder, for 170 seconds at most.
   *
   * @returns its standard output
   * @throws Error with all of its output when it fails
   */
  async run(program: string, parameters: readonly string[]): Promise<string> {
    const options = { cwd: this.path, env: plainEnvironment(), timeout: 170_000 };
    const { stdout } = await run(program, parameters, options).catch((error) => {
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      throw new Error(`${program} ${parameters.join(' ')} failed:\n${stdout}${stderr}`);
    });
    return stdout;
  }

  remove(): Promise<void> {
    return rm(this.path, { recursive: true, force: true });
  }
}

/** Reports whether the registry answers. */
export async function registryAnswers(): Promise<boolean> {
  const options = { env: plainEnvironment(), timeout: 20_000 };
  return run('npm', ['view', 'koa', 'version', '--fetch-retries=0'], options).then(
    () => true,
    () => false,
  );
}

/** Returns the parameters of `npx` for another version of Node; undefined if it is not available. */
export async function otherNode(version: number): Promise<readonly string[] | undefined> {
  const parameters = ['--yes', '--prefer-offline', '-p', `node@${version}`, 'node'];
  const options = { env: plainEnvironment(), cwd: tmpdir(), timeout: 60_000 };
  return run('npx', [...parameters, '--version'], options).then(
    () => parameters,
    () => undefined,
  );
}

/** Returns the environment without the variables that npm sets for scripts of this workspace. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) =>
        !name.startsWith('npm_') && !['NODE_OPTIONS', 'NODE_ENV', 'INIT_CWD'].includes(name),
    ),
  );
}
