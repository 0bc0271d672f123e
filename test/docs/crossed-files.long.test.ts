import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { FormBrowser } from '../support/form-browser.ts';
import { freePorts, type Services, startServices } from '../support/services.ts';
import { read } from '../support/snippets.ts';

const packages = fileURLToPath(new URL('../../packages/', import.meta.url));
const hook = new URL('../support/crossed-files-hook.mjs', import.meta.url).href;

let services: Services;
let ports: Record<'issuer' | 'api' | 'web', number>;

beforeAll(async () => {
  const [issuer = 0, api = 0, web = 0] = await freePorts(3);
  ports = { issuer, api, web };
  const measured = (port: number) => ({
    COVERAGE_PORT: String(port),
    NODE_OPTIONS: `--import ${hook}`,
  });
  services = await startServices({
    settings: { issuer: measured(issuer), api: measured(api), web: measured(web) },
  });
});
afterAll(() => services.stop());

/** Returns the sources whose functions ran in a service since the last call. */
async function filesRunBy(service: keyof typeof ports): Promise<string[]> {
  const answer = await fetch(`http://127.0.0.1:${ports[service]}/`);
  const urls = (await answer.json()) as string[];
  return urls
    .filter((url) => url.startsWith('file:'))
    .map((url) => fileURLToPath(url))
    .filter((file) => file.startsWith(packages) && file.includes('/dist/'))
    .filter((file) => !file.includes('/node_modules/'))
    .map((file) => file.slice(packages.length).replace('/dist/', '/src/').replace(/\.js$/, '.ts'))
    .map((file) => (existsSync(packages + file) ? file : `${file}x`))
    .sort();
}

/** Formats files as docs/architecture.md lists them: a line for each folder. */
function linesOf(files: readonly string[]): string[] {
  const folders = new Map<string, string[]>();
  for (const file of files) {
    const [, folder = '', name = ''] = /^(.+)\/([^/]+)$/.exec(file) ?? [];
    folders.set(folder, [...(folders.get(folder) ?? []), `\`${name}\``]);
  }
  return [...folders].map(([folder, names]) => `- \`${folder}\`: ${names.join(', ')}`).sort();
}

function listedIn(heading: string): string[] {
  const [, after = ''] = read('docs/architecture.md').split(`\n## ${heading}\n`);
  const [section = ''] = after.split('\n## ');
  return [...section.matchAll(/^- `[\w/-]+`: `[\w.-]+`.*$/gm)].map(([line]) => line);
}

/** Signs a user in, up to the address of the callback with the code. */
async function signIn(name: string): Promise<{ browser: FormBrowser; callback: string }> {
  const browser = new FormBrowser({ stopAt: `${services.web}/callback` });
  const login = await browser.open(`${services.web}/login?returnTo=/healthz`);
  const values = { username: `${name}@example.com`, password: `${name}-demo` };
  let page = await browser.submit(login, 'form', values);
  // The server asks for consent only at the first sign-in of a user.
  if (!page.location) page = await browser.submit(page, 'form', { action: 'accept' });
  return { browser, callback: page.location ?? '' };
}

const of = (files: readonly string[], ...packages: string[]) =>
  files.filter((file) => packages.includes(file.split('/')[0] ?? ''));

describe('docs/architecture.md lists the files in which a function runs', () => {
  test('for a sign-in in the client, and for its token request in the issuer', async () => {
    await signIn('bob');
    await filesRunBy('web');
    const { browser, callback } = await signIn('alice');
    await filesRunBy('issuer');
    expect((await browser.open(callback)).status).toBe(200);
    const tokenRequest = of(await filesRunBy('issuer'), 'authorization-server');
    const login = of(await filesRunBy('web'), 'client');
    expect(login.length).toBeLessThanOrEqual(22);
    expect(listedIn('One sign-in')).toEqual(linesOf(login));
    expect(tokenRequest.length).toBeLessThanOrEqual(24);
    expect(listedIn('One token request')).toEqual(linesOf(tokenRequest));
  });

  test('for GET /contacts with a new token in the API', async () => {
    const { browser, callback } = await signIn('alice');
    await browser.open(callback);
    // This request fetches the keys of the issuer.
    expect((await browser.open(`${services.web}/contacts`)).status).toBe(200);
    const other = await signIn('bob');
    await other.browser.open(other.callback);
    await filesRunBy('api');
    expect((await other.browser.open(`${services.web}/contacts`)).status).toBe(200);
    const request = await filesRunBy('api');
    expect(request.length).toBeLessThanOrEqual(22);
    expect(listedIn('One request, `GET /contacts` with a token')).toEqual(linesOf(request));
  });
});
