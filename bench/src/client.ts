import { demoTenantFile, loadTenant } from '@koa-oauth/authorization-server';
import { credentialsOf, signIn, startLocalIssuer } from '@koa-oauth/authorization-server/testing';
import { DEMO_CLIENT } from './apps/demo-client.ts';
import { CLIENT_APPS } from './apps/index.ts';
import { AUDIENCE, inTurn, median, medianRatio, Target } from './measure.ts';

const ROUNDS = Number(process.env.ROUNDS ?? 8);
const WARM_UPS = 3;
const PER_ROUND = 1000;

const NAMES = Object.keys(CLIENT_APPS) as (keyof typeof CLIENT_APPS)[];

/** Measures a page that needs a signed-in user and calls no API. */
export async function benchClient(print: (text: string) => void): Promise<void> {
  const tenant = loadTenant(demoTenantFile);
  const issuer = await startLocalIssuer({ tenant });
  const targets: Target[] = [];
  try {
    const measured = [];
    for (const name of NAMES) {
      const target = await Target.start(name, { issuer: issuer.issuer, audience: AUDIENCE });
      targets.push(target);
      const cookie = await signedIn(target.url, credentialsOf(tenant, 'alice'));
      measured.push({ target, cookie, costs: [] as number[] });
    }
    for (let round = -WARM_UPS; round < ROUNDS; round += 1) {
      for (const { target, cookie, costs } of inTurn(measured, round)) {
        const cookies = Array.from({ length: PER_ROUND }, () => cookie);
        const cost = await target.cost(cookies, 200, '/', (value) => ({ cookie: value }));
        if (round >= 0) costs.push(cost);
      }
    }
    print(table(measured));
  } finally {
    for (const target of targets) target.stop();
    await issuer.close();
  }
}

/** @returns the `Cookie` header of a browser that has signed in */
async function signedIn(
  url: string,
  credentials: ReturnType<typeof credentialsOf>,
): Promise<string> {
  const login = await fetch(`${url}/login`, { redirect: 'manual' });
  const request = login.headers.get('location') ?? '';
  const { search } = await signIn(request, `${DEMO_CLIENT.baseURL}/callback`, credentials);
  const headers = { cookie: cookiesOf(login) };
  const back = await fetch(`${url}/callback${search}`, { redirect: 'manual', headers });
  if (back.status !== 302) throw new Error(`no sign-in: ${back.status} ${await back.text()}`);
  return cookiesOf(back);
}

function cookiesOf(response: Response): string {
  const lines = response.headers.getSetCookie().map((line) => line.split(';')[0] ?? '');
  return lines.filter((line) => !line.endsWith('=')).join('; ');
}

function table(measured: readonly { target: Target; cookie: string; costs: number[] }[]): string {
  const ours = measured[0]?.costs ?? [];
  const rows = measured.map(({ target, cookie, costs }) => {
    const figures = [medianRatio(costs, ours).toFixed(2), median(costs).toFixed(0), cookie.length];
    return `| ${[target.name, ...figures].join(' | ')} |\n`;
  });
  return `## A signed-in user

A page that needs a signed-in user and calls no API. koa-oauth keeps the session in memory,
express-openid-connect in an encrypted cookie.

| app | × koa-oauth | µs CPU per request | bytes of cookies |
| --- | ---: | ---: | ---: |
${rows.join('')}
`;
}
