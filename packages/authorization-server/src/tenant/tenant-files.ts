import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { type Document, isNode, parseDocument, visit } from 'yaml';
import { type Keywords, type ReplacedText, replaceKeywords } from './keywords.ts';

/*
 * The two formats of the Auth0 deploy tool: one YAML file, or a folder with a JSON file for each entry.
 * Users are in no export: they can be in `users.yaml` or `users.json` in the same folder.
 */

export type Path = readonly PropertyKey[];

/** Folders of the directory format, with the section whose entries they have. */
const FOLDERS = new Map([
  ['actions', 'actions'],
  ['clients', 'clients'],
  ['connections', 'connections'],
  ['database-connections', 'databases'],
  ['grants', 'clientGrants'],
  ['organizations', 'organizations'],
  ['resource-servers', 'resourceServers'],
  ['roles', 'roles'],
  ['rules', 'rules'],
  ['rules-configs', 'rulesConfigs'],
]);
/** JSON files that other tools have in such a folder. */
const OTHER_FILES = /^(?:package|package-lock|tsconfig|config)\b/;
const USERS_FILES = ['users.yaml', 'users.json'];
const MAX_LINES = 1e7;

/** One parsed file. */
interface Part {
  readonly file: string;
  /** Path of the content in the tenant. */
  readonly at: Path;
  /** Path of the content in the file. */
  readonly inside: Path;
  readonly document: Document;
  readonly source: ReplacedText;
}

/** Place of a value. `order` sorts by file and line. */
export interface Place {
  readonly text: string;
  readonly order: number;
}

/** A file that can't be read or parsed. */
export class UnreadableFile extends Error {}

/** The files of a tenant, and their content as the YAML format has it. */
export class TenantFiles {
  /** Folder that names of files are relative to. */
  readonly root: string;
  readonly content: Record<string, unknown> = {};
  /** Folders and files of the directory format that belong to no section. */
  readonly unknown: string[] = [];
  /** Files whose change changes the tenant, and folders in which a new file does. */
  readonly watched = new Set<string>();
  readonly #keywords: Keywords;
  readonly #main: string;
  readonly #parts: Part[] = [];

  /** @throws UnreadableFile */
  constructor(path: string, keywords: Keywords) {
    this.#keywords = keywords;
    const yaml = isFolder(path) ? join(path, 'tenant.yaml') : path;
    const isDirectoryFormat = isFolder(path) && isDirectoryExport(path);
    this.#main = isDirectoryFormat ? path : yaml;
    this.root = dirname(yaml);
    if (isDirectoryFormat) this.#readFolder();
    else Object.assign(this.content, this.#parse(yaml, [], []));
    this.#readUsers();
  }

  /** Removes a value from the content and from the parsed file, so that later faults have the right lines. */
  remove(path: Path): void {
    const part = this.#partOf(path);
    const within = [...(part?.inside ?? []), ...path.slice(part?.at.length)];
    if (part?.document.hasIn(within)) part.document.deleteIn(within);
    const parent = path
      .slice(0, -1)
      .reduce((value: unknown, key) => (value as Record<PropertyKey, unknown>)[key], this.content);
    const key = path.at(-1);
    if (Array.isArray(parent)) parent.splice(Number(key), 1);
    else delete (parent as Record<PropertyKey, unknown>)[String(key)];
  }

  /** Reads a file of code, with its keywords replaced. */
  readCode(file: string): ReplacedText {
    this.watched.add(file);
    return replaceKeywords(readFileSync(file, 'utf8'), this.#keywords, false);
  }

  /** Returns the path of the code that an entry of `actions` or `rules` names. */
  fileOf(section: 'actions' | 'rules', index: number, name: string): string {
    const wanted = name.replaceAll('\\', '/');
    const part = this.#partOf([section, index]);
    const ofRoot = resolve(this.root, wanted);
    if (part === undefined || part.at.length === 0) return ofRoot;
    // Some exports have paths from the folder in which the deploy tool ran.
    const folder = dirname(part.file);
    const own = join(folder, basename(part.file, '.json'));
    const candidates = [resolve(folder, wanted), resolve(own, wanted), ofRoot];
    return [...candidates, join(own, basename(wanted))].find(existsSync) ?? ofRoot;
  }

  /** Returns the place of a value, or of the nearest one above it that is in a file. */
  placeOf(path: Path): Place {
    const part = this.#partOf(path);
    if (part === undefined) return { text: path.map(String).join('.') || 'top', order: 0 };
    const within = [...part.inside, ...path.slice(part.at.length)];
    const line = lineOf(part, within);
    const at = within.map(String).join('.') || 'top';
    const file = part.file === this.#main ? '' : `${this.nameOf(part.file)}, `;
    return {
      text: `${file}line ${line}, ${at}`,
      order: this.#parts.indexOf(part) * MAX_LINES + line,
    };
  }

  /** Returns a file's path relative to the tenant, with `/` on every system. */
  nameOf(file: string): string {
    return relative(this.root, file).split(sep).join('/');
  }

  #partOf(path: Path): Part | undefined {
    return this.#parts.findLast(({ at }) => at.every((key, index) => key === path[index]));
  }

  #readFolder(): void {
    for (const name of this.#list(this.root)) {
      const path = join(this.root, name);
      const section = FOLDERS.get(name);
      if (name === 'tenant.json') this.#put(path, ['tenant']);
      else if (section !== undefined) this.#readEntries(path, section);
      else if (name === 'triggers') {
        const [file] = this.#jsonFiles(path);
        if (file !== undefined) this.#put(file, ['triggers']);
      } else if (name === 'attack-protection') {
        this.content.attackProtection = {};
        for (const file of this.#jsonFiles(path)) {
          this.#put(file, ['attackProtection', camelCase(basename(file, '.json'))]);
        }
      } else if (isFolder(path) ? name !== 'node_modules' : isUnknownFile(name)) {
        this.unknown.push(name);
      }
    }
  }

  #readEntries(folder: string, section: string): void {
    const entries: unknown[] = [];
    this.content[section] = entries;
    const files =
      section === 'databases'
        ? this.#list(folder).map((name) => join(folder, name, 'database.json'))
        : this.#jsonFiles(folder);
    for (const file of files.filter(existsSync)) {
      const entry = this.#parse(file, [section, entries.length], []);
      // The deploy tool ignores an empty file.
      if (Object.keys(entry).length === 0) this.#parts.pop();
      else entries.push(entry);
    }
  }

  #readUsers(): void {
    for (const file of USERS_FILES.map((name) => join(this.root, name))) {
      this.watched.add(file);
      if (!existsSync(file)) continue;
      if (this.content.users !== undefined) {
        throw new UnreadableFile(`the users are given twice: remove them, or ${this.nameOf(file)}`);
      }
      const { users, ...others } = this.#parse(file, ['users'], ['users']);
      if (users === undefined || Object.keys(others).length > 0) {
        throw new UnreadableFile(`${this.nameOf(file)}: give the section users, and no other`);
      }
      this.content.users = users;
    }
  }

  #put(file: string, at: readonly string[]): void {
    const value = this.#parse(file, at, []);
    const [section = '', key] = at;
    if (key === undefined) this.content[section] = value;
    else (this.content[section] as Record<string, unknown>)[key] = value;
  }

  #list(folder: string): string[] {
    if (!isFolder(folder)) throw new UnreadableFile(`${this.nameOf(folder)} must be a folder`);
    this.watched.add(folder);
    return readdirSync(folder)
      .filter((name) => !name.startsWith('.'))
      .sort();
  }

  #jsonFiles(folder: string): string[] {
    return this.#list(folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => join(folder, name));
  }

  #parse(file: string, at: Path, inside: Path): Record<string, unknown> {
    this.watched.add(file);
    const name = file === this.#main ? '' : `${this.nameOf(file)}, `;
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new UnreadableFile(
        `${name}it can't be read (${code}): set TENANT to a YAML file, or to a folder that the ` +
          'Auth0 deploy tool wrote',
      );
    }
    const source = replaceKeywords(text, this.#keywords, true);
    const document = parseDocument(source.text, { prettyErrors: false });
    const faults = document.errors.map(({ pos, message }) => {
      // Some messages end with the text that is wrong, which can be a secret by a keyword.
      const fault = message.replace(/: [|>!].*/s, '');
      return `${name}line ${source.lineAt(pos[0])}: ${fault}`;
    });
    if (faults.length > 0) throw new UnreadableFile(faults.join('\n'));
    this.#parts.push({ file, at, inside, document, source });
    const value: unknown = toValue(document, source.text.includes('*'), (offset, fault) => {
      throw new UnreadableFile(`${name}line ${source.lineAt(offset)}: ${fault}`);
    });
    if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
    throw new UnreadableFile(`${name}line 1: give a mapping, with the names of the settings`);
  }
}

export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** Checks for the directory format; the YAML format has folders for code too. */
function isDirectoryExport(folder: string): boolean {
  const has = (name: string): boolean => existsSync(join(folder, name));
  if (!has('tenant.yaml')) return has('tenant.json') || [...FOLDERS.keys()].some(has);
  if (!has('tenant.json') && !has('clients')) return false;
  throw new UnreadableFile('it has a tenant.yaml and the folders of an export: remove one');
}

function isUnknownFile(name: string): boolean {
  return name.endsWith('.json') && !OTHER_FILES.test(name) && !USERS_FILES.includes(name);
}

function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** Returns a document's value. @param refuse throws an error with the place and fault of an alias. */
function toValue(
  document: Document,
  hasAliases: boolean,
  refuse: (offset: number, fault: string) => never,
): unknown {
  if (hasAliases) checkAliases(document, refuse);
  try {
    return document.toJS() ?? {};
  } catch {
    return refuse(0, 'its aliases stand for too many values');
  }
}

function checkAliases(document: Document, refuse: (offset: number, fault: string) => never): void {
  visit(document, {
    Alias(_key, alias, ancestors) {
      const target = alias.resolve(document);
      const [offset = 0] = alias.range ?? [];
      // Its name can be the value of a keyword, and a secret.
      if (target === undefined) refuse(offset, 'no anchor has the name of this alias');
      if (ancestors.includes(target)) refuse(offset, 'this alias is a part of its own anchor');
    },
  });
}

function lineOf({ document, source }: Part, path: Path): number {
  for (let length = path.length; length >= 0; length -= 1) {
    const node: unknown =
      length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return source.lineAt(node.range[0]);
  }
  return 1;
}
