import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider';
import { errors, Provider } from './oidc-provider.ts';
import type { StateStore } from './state/file.ts';
import { toClientMetadata } from './tenant/applications.ts';
import { findApplication, type Tenant } from './tenant/tenant.ts';
import { rotatingAdapter } from './token/refresh-token.ts';
import { isJwt, readUserinfoGrant, type UserinfoTokens } from './token/userinfo-token.ts';

/**
 * Sign-ins that nobody completes wait for an hour. One takes some 2 kB, and a hostile one as much as
 * a request may have: of more than these the oldest goes, of the address that has the most.
 */
const MOST_INTERACTIONS = 5000;

/** Pushed requests wait for a minute, and may have 56 kB. */
const MOST_PUSHED = 1000;

/**
 * Where the engine keeps and finds its records. Not its own store for development: that one forgets
 * after some thousand records.
 */
export function createAdapter(
  tenant: Tenant,
  store: StateStore,
  userinfoTokens: UserinfoTokens,
): AdapterFactory {
  return (kind) => {
    const adapter = storeAdapter(kind, store);
    switch (kind) {
      case 'Client':
        return { ...adapter, find: async (id) => clientOf(tenant, id) };
      case 'AccessToken':
        // JWTs are never stored, so /userinfo would not know its own server's tokens.
        return {
          ...adapter,
          find: (id) => (isJwt(id) ? userinfoTokens.verify(id) : adapter.find(id)),
        };
      case 'RefreshToken':
        return rotatingAdapter(adapter, tenant, store);
      case 'Interaction':
        return boundedAdapter(adapter, MOST_INTERACTIONS, addressNow);
      case 'PushedAuthorizationRequest':
        return boundedAdapter(adapter, MOST_PUSHED, addressNow);
      case 'ReplayDetection':
        return {
          ...adapter,
          async upsert(id, payload, lifetime) {
            // The engine looks and writes in two steps: of two proofs at once only one may win.
            if (store.read(kind, id)) throw new errors.InvalidRequest('already used');
            await adapter.upsert(id, payload, lifetime);
          },
        };
      case 'Grant':
        return { ...adapter, find: async (id) => readUserinfoGrant(id) ?? adapter.find(id) };
      default:
        return adapter;
    }
  };
}

function addressNow(): string {
  return Provider.ctx?.ip ?? '';
}

function clientOf(tenant: Tenant, id: string): AdapterPayload | undefined {
  const application = findApplication(tenant, id);
  return application && toClientMetadata(application);
}

function storeAdapter(kind: string, store: StateStore): Adapter {
  const payloadOf = (record: ReturnType<StateStore['read']>): AdapterPayload | undefined =>
    record && { ...record.content, consumed: record.consumed };
  return {
    async upsert(id, payload, lifetime) {
      store.write(kind, id, payload, lifetime, { uid: payload.uid, grantId: payload.grantId });
    },
    async find(id) {
      return payloadOf(store.read(kind, id));
    },
    async findByUid(uid) {
      return payloadOf(store.readByUid(kind, uid));
    },
    // Only the device flow has user codes, and it is off.
    async findByUserCode() {
      return undefined;
    },
    async consume(id) {
      // The engine looks and consumes in two steps: of two requests at once only one may win.
      if (!store.consume(kind, id)) throw new errors.InvalidGrant('already used');
    },
    async destroy(id) {
      store.delete(kind, id);
    },
    async revokeByGrantId(grantId) {
      store.deleteByGrantId(kind, grantId);
    },
  };
}

/**
 * Keeps at most so many of the records that this process wrote. For one more the oldest goes of
 * whoever has the most: so nobody pushes out those of others.
 *
 * @param ownerOf tells who writes now.
 */
export function boundedAdapter(adapter: Adapter, most: number, ownerOf: () => string): Adapter {
  const owners = new Map<string, string>();
  const idsOf = new Map<string, Set<string>>();
  const forget = (id: string): void => {
    const owner = owners.get(id) ?? '';
    const ids = idsOf.get(owner);
    ids?.delete(id);
    if (ids?.size === 0) idsOf.delete(owner);
    owners.delete(id);
  };
  const oldestOfMost = (): string | undefined => {
    let largest = new Set<string>();
    for (const ids of idsOf.values()) if (ids.size > largest.size) largest = ids;
    const [oldest] = largest;
    return oldest;
  };
  return {
    ...adapter,
    async upsert(id, payload, lifetime) {
      if (!owners.has(id)) {
        const owner = ownerOf();
        owners.set(id, owner);
        idsOf.set(owner, (idsOf.get(owner) ?? new Set()).add(id));
      }
      const oldest = owners.size > most ? oldestOfMost() : undefined;
      if (oldest !== undefined) {
        forget(oldest);
        await adapter.destroy(oldest);
      }
      await adapter.upsert(id, payload, lifetime);
    },
    async destroy(id) {
      forget(id);
      await adapter.destroy(id);
    },
  };
}
