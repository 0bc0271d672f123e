import { setTimeout as after } from 'node:timers/promises';
import type { Fault, Scene } from './fault.ts';
import type { Disturbance } from './ledger.ts';

const TOKEN = '/oauth/token';
const KEY_SET = '/.well-known/jwks.json';
const METADATA = '/.well-known/openid-configuration';
const ALWAYS = { times: 100_000 };
const SHORT_MS = [1500, 3000] as const;
/** The resource server fetches unknown keys once in ten seconds, so rotations are further apart. */
const BETWEEN_ROTATIONS_MS = 10_500;

let rotatedAt = Number.NEGATIVE_INFINITY;

/** Returns all faults of the issuer. */
export function issuerFaults(): Fault[] {
  return [
    {
      name: 'the issuer is killed, and started again',
      disturbs: ['issuer', 'sign-in'],
      lasts: [1500, 4000],
      async begin({ stage: { issuerProcess } }) {
        await issuerProcess.end('SIGKILL');
        return () => issuerProcess.start();
      },
    },
    {
      name: 'the issuer is slow',
      disturbs: [],
      lasts: [2000, 4000],
      async begin({ stage: { control }, random }) {
        const delay = random.integer(500, 1500);
        for (const endpoint of ['/authorize', TOKEN, KEY_SET, METADATA]) {
          await control.addFault({ endpoint, delay, ...ALWAYS });
        }
        return () => control.clearFaults();
      },
    },
    rotation('the keys rotate', { revoke: false }),
    rotation('the keys rotate, and the old one is revoked', { revoke: true }),
    clock("the issuer's clock is 3 s ahead", 3, []),
    clock("the issuer's clock is 30 s ahead", 30, []),
    clock("the issuer's clock is 60 s behind", -60, ['clock']),
    clock("the issuer's clock is 300 s ahead", 300, ['clock', 'wrong answers']),
    ...tokenEndpointFaults(),
    ...keyFaults(),
  ];
}

function rotation(name: string, options: { readonly revoke: boolean }): Fault {
  return {
    name,
    disturbs: [],
    lasts: SHORT_MS,
    async begin({ stage: { control }, facts }) {
      await after(Math.max(0, rotatedAt + BETWEEN_ROTATIONS_MS - performance.now()));
      await control.rotateKeys(options);
      rotatedAt = performance.now();
      if (options.revoke) facts.keysWereRevoked();
      return () => {};
    },
  };
}

function clock(name: string, seconds: number, disturbs: readonly Disturbance[]): Fault {
  return {
    name,
    disturbs,
    lasts: SHORT_MS,
    async begin({ stage: { control }, facts }) {
      if (disturbs.includes('clock')) facts.clockGoesWrong();
      await control.setClock(seconds);
      return async () => {
        await control.setClock(0);
        if (disturbs.includes('clock')) facts.clockIsRight();
      };
    },
  };
}

function tokenEndpointFaults(): Fault[] {
  const fault = (
    what: string,
    kind: Readonly<Record<string, unknown>>,
    ...disturbs: Disturbance[]
  ): Fault => ({
    name: `the token endpoint: ${what}`,
    disturbs,
    lasts: SHORT_MS,
    async begin({ stage: { control } }) {
      await control.addFault({ endpoint: TOKEN, ...kind, ...ALWAYS });
      return () => control.clearFaults();
    },
  });
  return [
    fault('503', { status: 503, retryAfter: 1 }, 'sign-in'),
    fault('429', { rateLimited: true }, 'sign-in'),
    fault('500', { status: 500 }, 'sign-in'),
    fault('reset', { reset: true }, 'sign-in'),
    fault('half a body', { halfBody: true }, 'sign-in'),
    fault('garbage', { garbage: true }, 'wrong answers'),
    fault('8 MiB too much', { oversized: true }, 'sign-in', 'wrong answers'),
    fault('answers to refreshes get lost', { loseRefreshResponse: true }),
    fault('every third request is reset', { reset: true, every: 3 }, 'sign-in'),
  ];
}

/** Returns faults for new processes, which have no keys yet. */
function keyFaults(): Fault[] {
  const fault = (
    what: string,
    faults: readonly Readonly<Record<string, unknown>>[],
    ...disturbs: Disturbance[]
  ): Fault => ({
    name: `processes restart, and ${what}`,
    disturbs: ['api', 'web', 'sign-in', ...disturbs],
    lasts: SHORT_MS,
    async begin({ stage, random }: Scene) {
      const { control } = stage;
      for (const one of faults) await control.addFault({ ...one, ...ALWAYS });
      const pair = [random.pick(stage.apiProcesses), random.pick(stage.webProcesses)];
      await Promise.all(pair.map((service) => service.end('SIGKILL')));
      await Promise.all(pair.map((service) => service.start()));
      return () => control.clearFaults();
    },
  });
  const endpoints = [METADATA, KEY_SET];
  const both = (kind: object) => endpoints.map((endpoint) => ({ endpoint, ...kind }));
  return [
    fault('keys and metadata are 503', both({ status: 503 })),
    fault('keys and metadata are garbage', both({ garbage: true })),
    fault('half of the keys come', [{ endpoint: KEY_SET, halfBody: true }]),
    fault('the key set is HTML', [{ endpoint: KEY_SET, contentType: 'text/html' }]),
    fault('the key set is too large', [{ endpoint: KEY_SET, oversized: true }]),
    fault('the key set is empty', [{ endpoint: KEY_SET, emptyKeySet: true }]),
    fault("the metadata is another issuer's", [{ endpoint: METADATA, otherIssuer: true }]),
    fault(
      'the keys bear other names',
      [{ endpoint: KEY_SET, wrongKids: true }],
      'keys',
      'wrong answers',
    ),
  ];
}
