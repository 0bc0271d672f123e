import { createTestKey, startTestIssuer } from '@koa-oauth/issuer/testing';
import { auth } from '@koa-oauth/resource-server';
import type { Context } from 'koa';
import { AUDIENCE } from './measure.ts';

const TOKENS = Number(process.env.TOKENS ?? 100_000);
const STEPS = 5;

/** Measures the memory of verified tokens while new ones arrive. Ed25519 saves time. */
export async function benchMemory(print: (text: string) => void): Promise<void> {
  const issuer = await startTestIssuer({ keys: [createTestKey({ alg: 'EdDSA' })] });
  const verify = auth({ issuerBaseURL: issuer.issuer, audience: AUDIENCE });
  print(
    '## Memory while new tokens arrive\n\n| distinct tokens | MiB on the heap |\n| ---: | ---: |\n',
  );
  for (let step = 1; step <= STEPS; step += 1) {
    for (let i = 0; i < TOKENS / STEPS; i += 1) {
      const token = issuer.token({ sub: 'auth0|alice', aud: AUDIENCE, jti: `${step}-${i}` });
      const rawHeaders = ['authorization', `Bearer ${token}`];
      const context = { req: { rawHeaders, url: '/' }, request: {}, state: {} };
      // Twice: a token is cached when it comes again.
      for (let time = 0; time < 2; time += 1) {
        await verify(context as unknown as Parameters<typeof verify>[0] & Context, async () => {});
      }
    }
    globalThis.gc?.();
    const { heapUsed } = process.memoryUsage();
    print(`| ${(TOKENS / STEPS) * step} | ${(heapUsed / 2 ** 20).toFixed(1)} |\n`);
  }
  await issuer.close();
  print('\n');
}
