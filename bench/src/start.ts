import { startTestIssuer } from '@koa-oauth/issuer/testing';
import type { AppName } from './apps/index.ts';
import { AUDIENCE, median, Target } from './measure.ts';

const NAMES: AppName[] = [
  'koa-oauth',
  'koa-jwt + jwks-rsa as documented',
  'express-oauth2-jwt-bearer',
];
const ROUNDS = 7;

/** Measures a new process until its first answer to a good token, with the fetch of the keys. */
export async function benchStart(print: (text: string) => void): Promise<void> {
  const issuer = await startTestIssuer();
  const token = issuer.token({ sub: 'auth0|alice', aud: AUDIENCE, client_id: 'bench', jti: '1' });
  const times = new Map<AppName, number[]>(NAMES.map((name) => [name, []]));
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const name of NAMES) {
      const start = performance.now();
      const target = await Target.start(name, { issuer: issuer.issuer, audience: AUDIENCE });
      const { status } = await fetch(target.url, { headers: { authorization: `Bearer ${token}` } });
      if (status !== 200) throw new Error(`${name} answered ${status}`);
      if (round > 0) times.get(name)?.push(performance.now() - start);
      target.stop();
    }
  }
  await issuer.close();
  const ours = median(times.get('koa-oauth') ?? []);
  print(
    '## From a new process to its first answer\n\n| app | × koa-oauth | ms |\n| --- | ---: | ---: |\n',
  );
  for (const [name, values] of times) {
    const value = median(values);
    print(`| ${name} | ${(value / ours).toFixed(2)} | ${value.toFixed(0)} |\n`);
  }
  print('\n');
}
