import { readFileSync } from 'node:fs';

/** Reads a file of this repository. */
export function read(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
}

/** Returns the fenced blocks of one language in a Markdown file or in one of its sections. */
export function snippets(path: string, language: string, section?: string): string[] {
  const blocks = sectionOf(read(path), section).matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm);
  return [...blocks].flatMap(([, name, code = '']) => (name === language ? [code] : []));
}

/**
 * Returns the only snippet of a section.
 *
 * @throws Error when there is none, or more than one
 */
export function snippet(path: string, language: string, section: string): string {
  const found = snippets(path, language, section);
  if (found.length === 1 && found[0]) return found[0];
  throw new Error(`${path} has ${found.length} ${language} snippets under "${section}", not one`);
}

function sectionOf(page: string, heading: string | undefined): string {
  if (heading === undefined) return page;
  const [, after] = page.split(`\n## ${heading}\n`);
  if (after === undefined) throw new Error(`there is no section "${heading}"`);
  return after.split('\n## ')[0] ?? '';
}

/**
 * Replaces values of a snippet.
 *
 * @throws Error for a value that the snippet does not have
 */
export function fillIn(code: string, values: Readonly<Record<string, string>>): string {
  return Object.entries(values).reduce((text, [example, own]) => {
    if (!text.includes(example)) throw new Error(`"${example}" is not in the snippet:\n${text}`);
    return text.replaceAll(example, own);
  }, code);
}
