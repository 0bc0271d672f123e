import { execFile } from 'node:child_process';
import { cp, mkdir, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { plainEnvironment } from './empty-folder.ts';
import { read } from './snippets.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Image {
  /** The folder that stands for its file system. */
  readonly path: string;
  /** Where its processes run, in that folder. */
  readonly workdir: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly user: string;
  /** In the exec form, which needs no shell. */
  readonly command: readonly string[];
  readonly healthcheck: readonly string[];
}

interface Stage {
  path: string;
  workdir: string;
  environment: Record<string, string>;
  user: string;
  command: string[];
  healthcheck: string[];
}

/**
 * Does what the Dockerfile says in plain folders, with the Node that runs this: what is copied where,
 * and each command in its place. What needs a container is left out: the base image, users, owners.
 *
 * A stage that goes on from another one does so in its folder, so none of the two can be used twice.
 *
 * @throws Error for an instruction that is not known here, and when a command fails
 */
export class Build {
  readonly #folder: string;
  readonly #stages = new Map<string, Stage>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @returns the last stage, as an image; a named stage that was built before is taken as it is */
  async build(parameters: Readonly<Record<string, string>>): Promise<Image> {
    let stage: Stage | undefined;
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
    return stage as Stage;
  }

  async #begin(from: string, name = 'last'): Promise<Stage> {
    const before = this.#stages.get(from);
    const path = before?.path ?? join(this.#folder, name);
    const fresh = { environment: {}, user: 'root', command: [], healthcheck: [], workdir: path };
    const stage = before ? { ...before } : { ...fresh, path };
    this.#stages.set(name, stage);
    await mkdir(path, { recursive: true });
    return stage;
  }

  async #do(
    stage: Stage,
    instruction: string,
    text: string,
    parameters: Readonly<Record<string, string>>,
  ): Promise<void> {
    switch (instruction) {
      case 'ARG':
      case 'EXPOSE':
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
      case 'USER':
        stage.user = text;
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
            ...stage.environment,
            ...parameters,
          },
          timeout: 150_000,
          maxBuffer: 16 * 1024 * 1024,
        });
        return;
      default:
        throw new Error(`${instruction} is not known here`);
    }
  }

  async #copy(stage: Stage, text: string): Promise<void> {
    const words = text.split(' ').filter((word) => !word.startsWith('--'));
    const [source = '', target = ''] = words;
    const from = / ?--from=(\w+)/.exec(text)?.[1];
    if (from === undefined) return copyContext(stage.workdir);
    const there = join(this.#stages.get(from)?.path ?? '', source);
    const here = join(stage.workdir, target === '.' ? basename(source) : target);
    await cp(there, here, { recursive: true, verbatimSymlinks: true });
  }
}

/** The instructions of the Dockerfile with their texts, comments left out. */
function instructions(): [instruction: string, text: string][] {
  return read('Dockerfile')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]);
}

/** Copies the repository without what `.dockerignore` names: at its root, or with `**` anywhere. */
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
