import type { RequestListener } from 'node:http';
import { ActionCache } from './actions/cache.ts';
import { type AppParts, createApp } from './app.ts';
import { createLimits } from './http/limits.ts';
import type { KeyRing, RotateOptions } from './keys/key-ring.ts';
import type { Tenant } from './tenant/tenant.ts';

interface RunningAppParts extends Omit<AppParts, 'keys' | 'limits' | 'caches'> {
  readonly ring: KeyRing;
}

/**
 * The application of a server that goes on while its keys and its tenant change. The engine takes
 * both once and for all: for others a new one is made, which takes a millisecond or two, on the same
 * state. Requests that have begun end with the old one.
 */
export interface RunningApp {
  readonly answer: RequestListener;
  readonly tenant: Tenant;
  rotateKeys(options?: RotateOptions): Promise<void>;
  revokePreviousKey(): Promise<void>;
  /** What its limits have counted begins anew. @throws when none can be made; the old one stays. */
  useTenant(tenant: Tenant): void;
  /** Forgets logins, consents, tokens, faults, the log, what limits have counted and Actions kept; the clock is right again. */
  reset(): void;
}

export function createRunningApp({ ring, ...parts }: RunningAppParts): RunningApp {
  let { tenant } = parts;
  let limits = createLimits(tenant);
  let caches = createCaches();
  const create = (): RequestListener =>
    createApp({ ...parts, tenant, limits, caches, keys: ring.keys }).callback();
  let current = create();
  return {
    answer: (request, response) => current(request, response),
    get tenant() {
      return tenant;
    },
    async rotateKeys(options) {
      await ring.rotate(options);
      current = create();
    },
    async revokePreviousKey() {
      await ring.revokePrevious();
      current = create();
    },
    reset() {
      parts.store.clear();
      parts.faults.clear();
      parts.transactions.clear();
      parts.clock.seconds = 0;
      limits = createLimits(tenant);
      caches = createCaches();
      current = create();
    },
    useTenant(next) {
      const before = { tenant, limits };
      try {
        tenant = next;
        limits = createLimits(next);
        current = create();
      } catch (error) {
        ({ tenant, limits } = before);
        throw error;
      }
    },
  };
}

function createCaches(): AppParts['caches'] {
  return { postLogin: new ActionCache(), credentialsExchange: new ActionCache() };
}
