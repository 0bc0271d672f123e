import { createConnection } from 'node:net';
import {
  createProof,
  createTestKey,
  startTestIssuer,
  thumbprintOf,
} from '@koa-oauth/issuer/testing';
import { BASE_URL } from './apps/dpop.ts';
import type { DPOP_APPS } from './apps/index.ts';
import { AUDIENCE, inTurn, median, medianRatio, Target } from './measure.ts';

const ROUNDS = Number(process.env.ROUNDS ?? 16);
const WARM_UPS = 12;
const PER_ROUND = 1000;
const REFERENCE = 'Koa + one ES256 verify';
const REDIS_URL = process.env.TEST_REDIS_URL ?? 'redis://127.0.0.1:6379';

/** Measures requests with one repeated token that is bound to a key, and a new proof for each. */
export async function benchDpop(print: (text: string) => void): Promise<void> {
  const issuer = await startTestIssuer();
  const key = createTestKey({ alg: 'ES256' });
  const token = issuer.token({
    sub: 'auth0|alice',
    aud: AUDIENCE,
    scope: 'read:contacts',
    client_id: 'bench',
    jti: 'bench',
    cnf: { jkt: thumbprintOf(key) },
  });
  const proofKey = key.publicKey.export({ format: 'jwk' });
  const common = { issuer: issuer.issuer, audience: AUDIENCE, proofKey };
  const start = (name: keyof typeof DPOP_APPS, storeURL?: string) =>
    Target.start(name, { ...common, ...(storeURL !== undefined && { storeURL }) });
  const rows: { readonly label: string; readonly target: Target }[] = [
    { label: REFERENCE, target: await start(REFERENCE) },
    { label: 'koa-oauth', target: await start('koa-oauth with DPoP') },
    {
      label: 'express-oauth2-jwt-bearer, which checks no `jti`',
      target: await start('express-oauth2-jwt-bearer with DPoP'),
    },
    {
      label: 'Koa + oauth4webapi, which checks no `jti`',
      target: await start('Koa + oauth4webapi with DPoP'),
    },
  ];
  if (await answers(new URL(REDIS_URL))) {
    const target = await start('koa-oauth with DPoP', REDIS_URL);
    rows.push({ label: 'koa-oauth, used proofs in Redis', target });
  }
  const headers = (dpop: string) => ({ authorization: `DPoP ${token}`, dpop });
  const costs = new Map<string, number[]>(rows.map(({ label }) => [label, []]));
  try {
    for (let round = -WARM_UPS; round < ROUNDS; round += 1) {
      for (const { label, target } of inTurn(rows, round)) {
        const url = label.startsWith('koa-oauth') ? `${BASE_URL}/` : `${target.url}/`;
        const make = () => createProof({ key, method: 'GET', url, token });
        const proofs = Array.from({ length: PER_ROUND }, make);
        const cost = await target.cost(proofs, 200, '/', headers);
        if (round >= 0) costs.get(label)?.push(cost);
      }
    }
    print(table(costs));
  } finally {
    for (const { target } of rows) target.stop();
    await issuer.close();
  }
}

function table(costs: ReadonlyMap<string, readonly number[]>): string {
  const base = costs.get(REFERENCE) ?? [];
  const rows = [...costs].map(([label, values]) => {
    return `| ${label} | ${medianRatio(values, base).toFixed(2)} | ${median(values).toFixed(0)} |`;
  });
  const head = `| app | × ${REFERENCE} | µs CPU per request |\n| --- | ---: | ---: |`;
  return `### one token with DPoP, a new ES256 proof for each request\n\n${head}\n${rows.join('\n')}\n\n`;
}

async function answers({ hostname, port }: URL): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(Number(port || 6379), hostname);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
