import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { StartError } from '@koa-oauth/service';

/*
 * Keywords of the Auth0 deploy tool: `##NAME##` in a file stands for a text, `@@NAME@@` for a value as
 * JSON. The values are environment variables, and mappings in a setting.
 */

/** Values of keywords by name. */
export type Keywords = Readonly<Record<string, unknown>>;

const SETTING = 'AUTH0_KEYWORD_REPLACE_MAPPINGS';

/** The deploy tool replaces quotes around `@@NAME@@` too. */
const KEYWORD = /(['"])@@([^\s#@'"]+)@@\1|@@([^\s#@'"]+)@@|##([^\s#@'"]+)##/g;

/**
 * Returns the environment variables, and the mappings of the setting: JSON, or the path of the deploy
 * tool's configuration file. A variable overrides a mapping, as in the deploy tool.
 *
 * @example
 * import { env } from 'node:process';
 * const tenant = loadTenant('tenant.yaml', { keywords: readKeywords(env) });
 *
 * @throws StartError when the setting can't be used.
 */
export function readKeywords(environment: Readonly<Record<string, string | undefined>>): Keywords {
  const setting = environment[SETTING]?.trim();
  return { ...(setting ? readMappings(setting) : {}), ...environment };
}

function readMappings(setting: string): Keywords {
  const isJson = setting.startsWith('{');
  const expected = isJson ? `be an object in JSON` : `name a JSON file with an object ${SETTING}`;
  let mappings: unknown;
  try {
    if (isJson) mappings = JSON.parse(setting);
    else mappings = JSON.parse(readFileSync(resolve(setting), 'utf8'))?.[SETTING];
  } catch {
    // The error of the parser quotes the text, which has secrets.
  }
  if (typeof mappings === 'object' && mappings !== null && !Array.isArray(mappings)) {
    return mappings as Keywords;
  }
  throw new StartError('invalid_keywords', `${SETTING} must ${expected}`);
}

/** A file's text with the values of its keywords. */
export interface ReplacedText {
  readonly text: string;
  /** Keywords without a value, with their places in `text`; they stay as they are. */
  readonly missing: readonly { readonly name: string; readonly offset: number }[];
  /** Returns the line of the file that a place in `text` is from. */
  readonly lineAt: (offset: number) => number;
}

/**
 * Replaces the keywords of a file. `isData` is true for YAML and JSON: a keyword without a value then
 * counts as a text, although YAML reads `##NAME##` as a comment, and `@@NAME@@` not at all.
 */
export function replaceKeywords(source: string, keywords: Keywords, isData: boolean): ReplacedText {
  const pieces: { readonly from: number; readonly line: number; readonly isOriginal: boolean }[] =
    [];
  const missing: { name: string; offset: number }[] = [];
  let text = '';
  let end = 0;
  let line = 1;
  const add = (part: string, original: string, isOriginal: boolean): void => {
    pieces.push({ from: text.length, line, isOriginal });
    text += part;
    line += countLines(original);
  };
  for (const match of source.matchAll(KEYWORD)) {
    const [found, quote = '', quoted, bare, literal] = match;
    const name = quoted ?? bare ?? literal ?? '';
    const value = Object.hasOwn(keywords, name) ? keywords[name] : undefined;
    add(source.slice(end, match.index), source.slice(end, match.index), true);
    end = match.index + found.length;
    if (value === undefined) {
      const before = source.slice(source.lastIndexOf('\n', match.index) + 1, match.index);
      const isBare = isData && quote === '' && isValue(found, before, source.slice(end));
      missing.push({ name, offset: text.length });
      add(isBare ? JSON.stringify(found) : found, found, false);
    } else {
      add(literal === undefined ? JSON.stringify(value) : String(value), found, false);
    }
  }
  add(source.slice(end), source.slice(end), true);
  return {
    text,
    missing,
    lineAt(offset) {
      const piece = pieces.findLast(({ from }) => from <= offset);
      if (piece === undefined) return 1;
      return piece.line + (piece.isOriginal ? countLines(text.slice(piece.from, offset)) : 0);
    },
  };
}

/** Checks whether a keyword is a whole value, and not a part of a text or of a comment. */
function isValue(found: string, before: string, after: string): boolean {
  const inQuotes = ['"', "'"].some((quote) => before.split(quote).length % 2 === 0);
  if (inQuotes || !/^[ \t]*(?:[,\]}\r\n]|$)/.test(after)) return false;
  // At the beginning of a line, `##NAME##` is a comment.
  if (found.startsWith('@') && before.trim() === '') return true;
  return /(?:[:-][ \t]+|["'][ \t]*:|[,[][ \t]*)$/.test(before);
}

function countLines(text: string): number {
  return text.split('\n').length - 1;
}

/** Returns the name of a keyword that was left in a text, because it has no value. */
export function keywordIn(text: unknown): string | undefined {
  if (typeof text !== 'string' || !/##|@@/.test(text)) return undefined;
  const [match] = text.matchAll(KEYWORD);
  return match?.[2] ?? match?.[3] ?? match?.[4];
}
