import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider';
import { boundedAdapter } from './bounded-adapter.ts';
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
