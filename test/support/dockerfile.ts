import { execFile } from 'node:child_process';
import { cp, mkdir, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { plainEnvironment } from './empty-folder.ts';
import { read } from './snippets.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** A stage of the Dockerfile, built in a plain folder. */
export interface Image {
  /** Folder that represents its file system. */
  readonly path: string;
  /** Working directory, in that folder. */
  workdir: string;
  readonly environment: Record<string, string>;
  /** In the exec form, without a shell. */
  command: readonly string[];
  healthcheck: readonly string[];
}

/**
 * Runs the steps of the Dockerfile in plain folders, with this Node. The base image, users and owners
 * need a container, so they are ignored.
 *
 * A stage that continues another one uses its folder: only one of the two is then complete.
 *
 * @throws Error for an unknown instruction, and when a command fails
 */
export class Build {
  readonly #folder: string;
  readonly #stages = new Map<string, Image>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @returns the last stage; the stage `build` is built only once */
  async build(parameters: Readonly<Record<string, string>>): Promise<Image> {
    let stage: Image | undefined;
    let known = false;
    for (const [instruction, text] of instructions()) {
      if (instruction === 'FROM') {
        const [, from = '', name] = /^(\S+)(?: AS (\w+))?$/.exec(text) ?? [];
        known = name === 'build' && this.#stages.has(name);
        stage = known
          ? this.#stages.get(name as string)
          : await this.#begin(from, name ?? parameters.SERVICE);
      } else if (stage && !known) {
        await this.#do(stage, instruction, text, parameters);
      }
    }
    return stage as Image;
  }

  async #begin(from: string, name = 'last'): Promise<Image> {
    const before = this.#stages.get(from);
    const path = before?.path ?? join(this.#folder, name);
    const fresh = { environment: {}, command: [], healthcheck: [], workdir: path };
    const stage = before ? { ...before } : { ...fresh, path };
    this.#stages.set(name, stage);
    await mkdir(path, { recursive: true });
    return stage;
  }

  async #do(
    stage: Image,
    instruction: string,
    text: string,
    parameters: Readonly<Record<string, string>>,
  ): Promise<void> {
    switch (instruction) {
      case 'ARG':
      case 'EXPOSE':
      case 'USER':
        return;
      case 'WORKDIR':
        stage.workdir = join(stage.path, text);
        await mkdir(stage.workdir, { recursive: true });
        return;
      case 'ENV':
        Object.assign(
          stage.environment,
          Object.fromEntries(text.split(' ').map((one) => one.split('='))),
        );
        return;
      case 'CMD':
        stage.command = JSON.parse(text);
        return;
      case 'HEALTHCHECK':
        stage.healthcheck = JSON.parse(text.slice(text.indexOf('[')));
        return;
      case 'COPY':
        return this.#copy(stage, text);
      case 'RUN':
        await run('sh', ['-ec', text], {
          cwd: stage.workdir,
          env: {
            ...plainEnvironment(),
            npm_config_prefer_offline: 'true',
            npm_config_audit: 'false',
            ...stage.environment,
            ...parameters,
          },
          timeout: 400_000,
          maxBuffer: 16 * 1024 * 1024,
        });
        return;
      default:
        throw new Error(`unknown instruction ${instruction}`);
    }
  }

  async #copy(stage: Image, text: string): Promise<void> {
    const words = text.split(' ').filter((word) => !word.startsWith('--'));
    const [source = '', target = ''] = words;
    const from = / ?--from=(\w+)/.exec(text)?.[1];
    if (from === undefined) return copyContext(stage.workdir);
    const there = join(this.#stages.get(from)?.path ?? '', source);
    const here = join(stage.workdir, target === '.' ? basename(source) : target);
    // Folders as hard links: only main.mjs is written again for the next image.
    await run('cp', [source.endsWith('.mjs') ? '-a' : '-al', there, here]);
  }
}

/** Returns the instructions of the Dockerfile with their texts, without comments. */
function instructions(): [instruction: string, text: string][] {
  return read('Dockerfile')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]);
}

/** Copies the repository without the files of `.dockerignore`: at its root, or with `**` anywhere. */
async function copyContext(target: string): Promise<void> {
  const ignored = read('.dockerignore').trim().split('\n');
  const anywhere = new Set(
    ignored.filter((line) => line.startsWith('**/')).map((line) => line.slice(3)),
  );
  for (const name of await readdir(root)) {
    if (ignored.includes(name) || anywhere.has(name)) continue;
    await cp(join(root, name), join(target, name), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !anywhere.has(basename(path)),
    });
  }
}
