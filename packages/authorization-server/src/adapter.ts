import type { AdapterFactory, AdapterPayload } from 'oidc-provider';
import { errors } from './oidc-provider.ts';
import type { StateStore } from './state/state-store.ts';
import { BoundedAdapter, StoreAdapter } from './state/store-adapter.ts';
import { toClientMetadata } from './tenant/applications.ts';
import { findApplication, type Tenant } from './tenant/tenant.ts';
import { RefreshTokenAdapter } from './token/refresh-token.ts';
import {
  isJwt,
  readUserinfoGrant,
  USERINFO_GRANT,
  type UserinfoTokens,
} from './token/userinfo-token.ts';

interface AdapterParts {
  readonly tenant: Tenant;
  readonly store: StateStore;
  readonly userinfoTokens: Pick<UserinfoTokens, 'verify'>;
}

/**
 * Sign-ins that wait for an hour to be completed. One takes some 2 kB, and a hostile one as much as a
 * request may have.
 */
const MAX_INTERACTIONS = 5000;

/** Pushed requests wait for a minute, and may have 56 kB. */
const MAX_PUSHED_REQUESTS = 1000;

/**
 * Returns the adapters by which the engine stores its records. Its own adapter, which is for
 * development, forgets after some thousand records.
 */
export function createAdapter({ tenant, store, userinfoTokens }: AdapterParts): AdapterFactory {
  return (kind) => {
    switch (kind) {
      case 'Client':
        return new (class extends StoreAdapter {
          override async find(id: string): Promise<AdapterPayload | undefined> {
            const application = findApplication(tenant, id);
            return application && toClientMetadata(application);
          }
        })(kind, store);
      case 'AccessToken':
        return new (class extends StoreAdapter {
          override async find(id: string): Promise<AdapterPayload | undefined> {
            // JWTs are never stored, so /userinfo would not know its own server's tokens.
            return isJwt(id) ? userinfoTokens.verify(id) : super.find(id);
          }
        })(kind, store);
      case 'RefreshToken':
        return new RefreshTokenAdapter(tenant, store);
      case 'Interaction':
        return new BoundedAdapter(kind, store, MAX_INTERACTIONS);
      case 'PushedAuthorizationRequest':
        return new BoundedAdapter(kind, store, MAX_PUSHED_REQUESTS);
      case 'ReplayDetection':
        return new (class extends StoreAdapter {
          override async upsert(id: string, payload: AdapterPayload, lifetime: number) {
            // The engine looks and writes in two steps: of two proofs at once only one may win.
            if (store.read(kind, id)) throw new errors.InvalidRequest('already used');
            await super.upsert(id, payload, lifetime);
          }
        })(kind, store);
      case 'Grant':
        return new (class extends StoreAdapter {
          override async find(id: string): Promise<AdapterPayload | undefined> {
            return id.startsWith(USERINFO_GRANT) ? readUserinfoGrant(id) : super.find(id);
          }
        })(kind, store);
      default:
        return new StoreAdapter(kind, store);
    }
  };
}
