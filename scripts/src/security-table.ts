/** A row of a table in docs/security.md. */
export interface SecurityRow {
  /** Its line in the page, counted from 1. */
  readonly line: number;
  readonly threat: string;
  /** What shows that the measure holds: one test or more. */
  readonly tests: readonly NamedTest[];
}

export interface NamedTest {
  /** From the root of the repository. */
  readonly file: string;
  /** The names of its describes and its own, as jest prints them, with spaces between. */
  readonly name: string;
}

/**
 * Reads the rows of all tables of a page that have the columns threat, measure and test. Tests are
 * links from the name, in backquotes, to the file.
 *
 * @throws Error when a row has an empty cell, or another text than links in its last one; and when
 * there is no row at all
 */
export function readSecurityTable(page: string): SecurityRow[] {
  const rows: SecurityRow[] = [];
  let inTable = false;
  for (const [index, text] of page.split('\n').entries()) {
    if (!text.startsWith('|')) inTable = false;
    else if (/^\| threat \| measure \| test \|$/.test(text)) inTable = true;
    else if (inTable && !/^\|[-| ]+\|$/.test(text)) rows.push(readRow(text, index + 1));
  }
  if (rows.length === 0) throw new Error('there is no row in any table');
  return rows;
}

const LINK = /\[`([^`]+)`\]\(\.\.\/([^)#]+)\)/g;

function readRow(text: string, line: number): SecurityRow {
  const cells = text.split(/(?<!\\)\|/).slice(1, -1);
  const [threat = '', measure = '', links = ''] = cells.map((cell) => cell.trim());
  const tests = [...links.matchAll(LINK)].map(([, name = '', file = '']) => ({
    file,
    name: name.replaceAll('\\|', '|'),
  }));
  if (cells.length !== 3 || !threat || !measure || tests.length === 0) {
    throw new Error(`line ${line} is no threat, measure and test: ${text}`);
  }
  const rest = links.replace(LINK, '').replaceAll('<br>', '').trim();
  if (rest) throw new Error(`line ${line} has more than links to tests: ${rest}`);
  return { line, threat, tests };
}
