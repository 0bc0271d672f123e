const QUOTED = /(['"`])((?:\\.|(?!\1)[^\\])*)\1/.source;
// After `)` comes the title of test.each(…), and of a describe chosen by a condition.
const TITLE = new RegExp(
  `(?:\\b(?:describe|test|it)\\w*(?:\\.\\w+)*|\\))\\s*\\(\\s*${QUOTED}`,
  'gi',
);
const PLACEHOLDER = /%[sdifjop#]|\$\{[^}]*\}|\$[\w.]+/;

interface Title {
  readonly pattern: RegExp;
}

/**
 * Tells, by its text alone, whether a test file has a test of this full name. What takes the place
 * of `%s` and the like must stand in the file too. Tests are not told from describes, nor is it
 * seen which is within which: that takes a run.
 */
export function hasTest(source: string, fullName: string): boolean {
  const titles = [...source.matchAll(TITLE)].map(([, , text = '']) => readTitle(text));
  const isNamed = (name: string): boolean =>
    beginningsOf(name).some(
      ([beginning, rest]) =>
        titles.some((title) => fits(beginning, title, source)) && (rest === '' || isNamed(rest)),
    );
  return isNamed(fullName);
}

function readTitle(text: string): Title {
  const parts = withoutEscapes(text)
    .replaceAll('%%', '%')
    .split(PLACEHOLDER)
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return { pattern: new RegExp(`^${parts.join('(.+)')}$`, 's') };
}

function fits(name: string, { pattern }: Title, source: string): boolean {
  const filled = pattern.exec(name)?.slice(1);
  return filled?.every((text) => isWrittenIn(source, text)) ?? false;
}

function isWrittenIn(source: string, text: string): boolean {
  // What is printed as JSON may have other quotes and spaces where it is written.
  const words = /^["[{]/.test(text) ? text.split(/[\s"'`,:;\\[\]{}()]+/) : [text];
  return words.every((word) => source.includes(word));
}

/** A name cut in two at each of its spaces, and whole. */
function beginningsOf(name: string): [beginning: string, rest: string][] {
  const words = name.split(' ');
  return words.map((_, index) => [
    words.slice(0, index + 1).join(' '),
    words.slice(index + 1).join(' '),
  ]);
}

function withoutEscapes(text: string): string {
  return text.replace(/\\(['"`\\])/g, '$1');
}
