import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider';
import type { AppContext } from './context.ts';
import { secondsUntilSessionEnd } from './login/session-lifetime.ts';
import { errors, Provider } from './oidc-provider.ts';
import type { StateStore } from './state/memory.ts';
import { BoundedAdapter, CodeAdapter, StoreAdapter } from './state/store-adapter.ts';
import { toClientMetadata } from './tenant/applications.ts';
import { findApplication, type Tenant } from './tenant/tenant.ts';
import { DeviceCodeAdapter } from './token/device-code.ts';
import { RefreshTokenAdapter } from './token/refresh-token.ts';
import {
  isJwt,
  readUserinfoGrant,
  USERINFO_GRANT,
  type UserinfoTokens,
} from './token/userinfo-token.ts';

interface AdapterParts extends Pick<AppContext, 'tenant' | 'store' | 'limits'> {
  readonly userinfoTokens: Pick<UserinfoTokens, 'verify'>;
}

/** Maximum of open sign-ins, which end after an hour. One has about 2 kB, a hostile one up to the size of a request. */
const MAX_INTERACTIONS = 5000;

/** Maximum of pushed requests, which end after a minute. One has at most 56 kB. */
const MAX_PUSHED_REQUESTS = 1000;

const ENDED_SESSION = 'EndedSession';
/** Longer than a request takes, with all its Actions. */
const ENDED_SESSION_SECONDS = 600;

/** Creates the stores of the engine. The engine's own store forgets records after a few thousand. */
export function createAdapter(parts: AdapterParts): AdapterFactory {
  const { tenant, store, limits } = parts;
  return (kind) => {
    const records = new StoreAdapter(kind, store);
    switch (kind) {
      case 'Client':
        return withFind(kind, store, async (id) => {
          const application = findApplication(tenant, id);
          return application && toClientMetadata(application);
        });
      case 'AccessToken':
        return withFind(kind, store, (id) => findAccessToken(parts, id));
      case 'AuthorizationCode':
        return new CodeAdapter(kind, store);
      case 'Grant':
        return withFind(kind, store, async (id) =>
          id.startsWith(USERINFO_GRANT) ? readUserinfoGrant(id) : records.find(id),
        );
      case 'DeviceCode':
        return new DeviceCodeAdapter(store, limits.userCodes);
      case 'RefreshToken':
        return new RefreshTokenAdapter(tenant, store);
      case 'Session':
        return new SessionAdapter(tenant, store);
      case 'Interaction':
        return new BoundedAdapter(kind, store, MAX_INTERACTIONS);
      case 'PushedAuthorizationRequest':
        return new BoundedAdapter(kind, store, MAX_PUSHED_REQUESTS);
      case 'ReplayDetection':
        return new ReplayAdapter(kind, store);
      default:
        return records;
    }
  };
}

type Find = StoreAdapter['find'];

/** Creates a store with another way to find a record. */
function withFind(kind: string, store: StateStore, find: Find): Adapter {
  return Object.assign(new StoreAdapter(kind, store), { find });
}

/** Finds a stored token, or verifies a JWT: the server stores none, but `/userinfo` must accept them. */
async function findAccessToken(
  { store, userinfoTokens }: AdapterParts,
  id: string,
): Promise<AdapterPayload | undefined> {
  if (isJwt(id)) return userinfoTokens.verify(id);
  const token = await new StoreAdapter('AccessToken', store).find(id);
  // `/userinfo` accepts an opaque token for an API too. The engine would refuse any audience.
  return token && Provider.ctx?.oidc.route === 'userinfo' ? { ...token, aud: undefined } : token;
}

/**
 * Stores sessions until their end, however often they are used. At its end, a request stores the session
 * that it read at its start: one that another request ended must not come back.
 */
class SessionAdapter extends StoreAdapter {
  readonly #tenant: Tenant;

  constructor(tenant: Tenant, store: StateStore) {
    super('Session', store);
    this.#tenant = tenant;
  }

  override async upsert(id: string, payload: AdapterPayload, lifetime: number): Promise<void> {
    if (this.store.read(ENDED_SESSION, id)) return;
    const left = secondsUntilSessionEnd(this.#tenant, this.store, payload);
    await super.upsert(id, payload, Math.min(lifetime, left));
  }

  override async destroy(id: string): Promise<void> {
    this.store.write(ENDED_SESSION, id, {}, ENDED_SESSION_SECONDS);
    await super.destroy(id);
  }
}

/** Stores the ids of used proofs. */
class ReplayAdapter extends StoreAdapter {
  override async upsert(id: string, payload: AdapterPayload, lifetime: number): Promise<void> {
    // The engine reads and writes in two steps: only one of two simultaneous proofs may win.
    if (this.store.read(this.kind, id)) throw new errors.InvalidRequest('already used');
    await super.upsert(id, payload, lifetime);
  }
}
