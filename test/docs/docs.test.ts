import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { read } from '../support/snippets.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pages = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md'],
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
  ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/README.md`),
];

/** Returns the names in the first cells of the tables below a heading. */
function firstCells(page: string, heading: string): string[] {
  const [, section = ''] = read(page).split(`\n## ${heading}\n`);
  const rows = [...(section.split('\n## ')[0] ?? '').matchAll(/^\| (`[^|]+) \|/gm)];
  return rows.flatMap(([, cell = '']) => cell.split(', ').map((name) => name.replaceAll('`', '')));
}

/** Returns the names of the members of an interface. */
function membersOf(file: string, name: string): string[] {
  const [, after = ''] = read(file).split(new RegExp(`interface ${name}\\b[^{]*\\{\n`));
  const [body = ''] = after.split('\n}');
  return [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, member = '']) => member);
}

describe('settings', () => {
  test('the READMEs have the tables that `npm run docs` writes', () => {
    const check = () =>
      execFileSync(process.execPath, ['scripts/dist/docs.js', '--check'], { cwd: root });
    expect(check).not.toThrow();
  });

  test.each(['authorization-server', 'contacts-api', 'contacts-web'])(
    'of %s are all in the table of its README',
    async (name) => {
      const { SETTINGS } = await import(join(root, 'packages', name, 'dist/settings.js'));
      const settings = SETTINGS as { name: string; meaning: string; defaultText: string }[];
      expect(settings.length).toBeGreaterThan(9);
      for (const { meaning, defaultText } of settings) {
        expect(meaning).toMatch(/\w+ \w+|`\w+`/);
        expect(defaultText).not.toBe('');
      }
      const listed = firstCells(`packages/${name}/README.md`, 'Settings');
      expect(listed).toEqual(settings.map((setting) => setting.name));
    },
  );
});

describe('errors', () => {
  const codes = [
    ...codesOf('packages/resource-server/src/errors.ts'),
    ...codesOf('packages/issuer/src/errors.ts'),
    ...rowsOf('packages/contacts-api/src/errors.ts'),
    ...thrownBy('packages/service/src/middleware.ts'),
  ];

  // Those with 503 have tables of their own.
  test.each(codes.filter(({ statuses }) => !['none', '503'].includes(statuses)))(
    '$code is in docs/troubleshooting.md with its status $statuses',
    ({ code, statuses }) => {
      const lines = read('docs/troubleshooting.md').split('\n');
      const line = lines.find((each) => each.includes(`\`${code}\``));
      for (const status of statuses.split(', ')) expect(line).toContain(status);
    },
  );
});

describe('the README of', () => {
  test.each([
    ['resource-server', 'AuthOptions', 'options.ts', 'Options'],
    ['resource-server', 'TrustedIssuerOptions', 'token/trusted-issuer.ts', 'Options of an issuer'],
    ['issuer', 'IssuerOptions', 'issuer.ts', 'Options'],
  ])('%s has every member of %s', (name, type, file, heading) => {
    const members = membersOf(`packages/${name}/src/${file}`, type);
    expect(members.length).toBeGreaterThan(4);
    expect(firstCells(`packages/${name}/README.md`, heading).sort()).toEqual(members.sort());
  });

  test('resource-server has every reason, with its text', () => {
    const page = 'packages/resource-server/README.md';
    const errors = read('packages/resource-server/src/errors.ts');
    const [table = ''] = errors.split('export const REASONS = {\n')[1]?.split('\n}') ?? [];
    const reasons = [...table.matchAll(/^ {2}(\w+): '(.+)',$/gm)];
    expect(reasons.length).toBeGreaterThan(10);
    for (const [, reason, text] of reasons)
      expect(read(page)).toContain(`\n| \`${reason}\` | ${text} |`);
    const rows = errors.matchAll(/^ {2}ERR_\w+: \[\s*\d+,\s*'[^']+',\s*'(\w+)'/gm);
    const labels = new Set([...rows].map(([, label]) => label));
    // Events have the reason of the token or of the proof instead.
    expect(labels.delete('invalid_token')).toBe(true);
    expect(labels.delete('invalid_dpop_proof')).toBe(true);
    const proofs = [...errors.matchAll(/^ {2}(proof_\w+): '/gm)];
    expect(proofs.length).toBeGreaterThan(10);
    for (const [, reason] of proofs) expect(read(page)).toContain(`\`${reason}\``);
    const names = [...reasons.map(([, reason]) => reason), ...labels];
    expect(firstCells(page, 'Reasons')).toEqual(names);
  });
});

test('docs/troubleshooting.md has a row for each reason and each 503', () => {
  const page = 'docs/troubleshooting.md';
  const reasons = firstCells('packages/resource-server/README.md', 'Reasons');
  const rows = firstCells(page, 'Refused requests');
  expect(rows.sort()).toEqual([...reasons, 'proof_…'].sort());
  const codes = ['resource-server', 'issuer']
    .flatMap((name) => codesOf(`packages/${name}/src/errors.ts`))
    .filter(({ statuses }) => statuses === '503')
    .map(({ code }) => code);
  expect(codes.length).toBeGreaterThan(3);
  expect(firstCells(page, 'Unavailable').sort()).toEqual(codes.sort());
});

describe('docs/troubleshooting.md', () => {
  const page = 'docs/troubleshooting.md';

  test('has a row for each code of the client, with its status', () => {
    const codes = codesOf('packages/client/src/errors.ts');
    expect(codes.length).toBeGreaterThan(20);
    expect(firstCells(page, 'A web app').sort()).toEqual(codes.map(({ code }) => code).sort());
    for (const { code, statuses } of codes) {
      expect(read(page)).toMatch(new RegExp(`^\\| \`${code}\` \\| [^|]*\\b${statuses}\\b`, 'm'));
    }
  });

  test('has a row for each code of contacts-api', () => {
    const codes = [
      ...rowsOf('packages/contacts-api/src/errors.ts'),
      ...thrownBy('packages/service/src/middleware.ts'),
    ].map(({ code }) => code);
    expect(codes.length).toBeGreaterThan(9);
    expect(firstCells(page, 'contacts-api refuses a request').sort()).toEqual(codes.sort());
  });

  test.each([
    [
      'contacts-api does not start',
      [
        'packages/service/src/errors.ts',
        'packages/service/src/server.ts',
        'packages/contacts-api/src/start.ts',
        'packages/contacts-api/src/http/router.ts',
      ],
    ],
    ['The sign-in of /docs fails', ['packages/contacts-api/assets/sign-in.js']],
  ])('quotes messages below "%s" as the code has them', (heading, files) => {
    const sources = files.map(read).join('\n');
    const messages = firstCells(page, heading);
    expect(messages.length).toBeGreaterThan(4);
    expect(messages.filter((message) => !sources.includes(message))).toEqual([]);
  });
});

describe.each(pages)('the links of %s', (page) => {
  test('lead to files and headings that exist', () => {
    const links = [...read(page).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(
      ([, link = '']) => link,
    );
    const broken = links.filter((link) => {
      const [path = '', heading] = link.split('#');
      const target = path === '' ? page : join(dirname(page), path);
      if (!existsSync(join(root, target))) return true;
      return heading !== undefined && !headingsOf(target).includes(heading);
    });
    expect(broken).toEqual([]);
  });
});

/** Returns the codes and statuses of the errors that a file declares. */
function codesOf(file: string): { code: string; statuses: string }[] {
  const rows = [...read(file).matchAll(/^ {2}(ERR_\w+): \[\s*(\w+)/gm)].map(
    ([, code = '', status = '']) => ({ code, statuses: status.replace('undefined', 'none') }),
  );
  const classes = read(file)
    .split(/^export (?:abstract )?class /m)
    .slice(1)
    .flatMap((text) => {
      const [, code] = /'(ERR_\w+)'/.exec(text) ?? [];
      if (code === undefined || rows.some((row) => row.code === code)) return [];
      const [, statuses] = /(?:super\(|status(?:: | = ))(\d{3}(?: \| \d{3})*)/.exec(text) ?? [];
      return [{ code, statuses: statuses?.replaceAll(' | ', ', ') ?? 'none' }];
    });
  return [...rows, ...classes];
}

/** Returns the codes and statuses of a table: code → status → text. */
function rowsOf(file: string): { code: string; statuses: string }[] {
  return [...read(file).matchAll(/^ {2}(ERR_\w+): \{([^}]+)\}/gm)].map(
    ([, code = '', row = '']) => ({
      code,
      statuses: [...row.matchAll(/(\d{3}): '/g)].map(([, status]) => status).join(', '),
    }),
  );
}

/** Returns the codes and statuses of errors that Koa's `throw` makes. */
function thrownBy(file: string): { code: string; statuses: string }[] {
  const thrown = read(file).matchAll(/\bthrow\((\d{3}), .*\{ code: '(ERR_\w+)' \}/g);
  return [...thrown].map(([, statuses = '', code = '']) => ({ code, statuses }));
}

/** Returns the headings of a page as links name them. */
function headingsOf(page: string): string[] {
  return [...read(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
