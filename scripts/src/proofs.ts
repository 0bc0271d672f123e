import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

const ROW = /^\| (§?\d[^:|]*): ([^|]+) \| ([^|]+) \|[^|]*\|$/;

/** Call `proves('…')` in a test file. */
export interface Proof {
  /** Name of a row of docs/security.md, such as `RFC 6750 §5.1 replay`. */
  readonly tag: string;
  /** Path from the root of the repository. */
  readonly file: string;
}

/** Returns the tags of a page's rows: the short name of the chapter's document, and the row's own. */
export function tagsOf(page: string): string[] {
  return rowsOf(page).flatMap(({ tag }) => tag ?? []);
}

/** Fills the last column of each row with links to the files that prove it, each file once. */
export function withProofs(page: string, proofs: readonly Proof[]): string {
  const lines = rowsOf(page).map(({ line, tag }) => {
    const [, own, threat, measure] = ROW.exec(line) ?? [];
    if (tag === undefined) return line;
    const files = new Set(proofs.filter((proof) => proof.tag === tag).map(({ file }) => file));
    const links = [...files].sort().map((file) => `[${basename(file)}](../${file})`);
    return `| ${own}: ${threat} | ${measure} | ${links.join('<br>')} |`;
  });
  return lines.join('\n');
}

function rowsOf(page: string): { line: string; tag: string | undefined }[] {
  let document: string | undefined;
  return page.split('\n').map((line) => {
    if (line.startsWith('## ')) document = /RFC \d+|ASVS|FAPI 2\.0/.exec(line)?.[0];
    const [, own] = ROW.exec(line) ?? [];
    return { line, tag: document && own && `${document} ${own}` };
  });
}

/** Finds the calls of `proves` in all test files. Those in `test.skip` or `describe.skip` don't count. */
export function findProofs(root: string): Proof[] {
  return readdirSync(`${root}packages`)
    .map((name) => `packages/${name}/test`)
    .concat('test')
    .flatMap((folder) =>
      readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
        .filter((name) => /\.test\.tsx?$/.test(name))
        .map((name) => `${folder}/${name.replaceAll('\\', '/')}`),
    )
    .flatMap((file) =>
      provedTags(readFileSync(root + file, 'utf8')).map((tag): Proof => ({ tag, file })),
    );
}

/** Returns the tags that the tests of a file prove. */
export function provedTags(source: string): string[] {
  return [...source.matchAll(/^ *proves\(([^)]*)\);/gm)].flatMap(({ index, 1: tags = '' }) =>
    isSkipped(source.slice(0, index).split('\n'), source.slice(index).search(/\S/))
      ? []
      : [...tags.matchAll(/'([^']+)'/g)].map(([, tag = '']) => tag),
  );
}

/** Finds the blocks around a line by their indentation, which the formatter keeps exact. */
function isSkipped(before: readonly string[], indentation: number): boolean {
  let inner = indentation;
  for (const line of before.toReversed()) {
    const indent = line.search(/\S/);
    if (indent < 0 || indent >= inner) continue;
    if (/^ *(describe|test|it)\.(skip|todo)\b/.test(line)) return true;
    // A line such as `])('%s', () => {` ends a call that begins above with the same indentation.
    inner = /^ *[\])}]/.test(line) ? indent + 1 : indent;
  }
  return false;
}
