import type { AdapterFactory, AdapterPayload } from 'oidc-provider';
import type { AppContext } from './context.ts';
import { errors } from './oidc-provider.ts';
import { BoundedAdapter, StoreAdapter } from './state/store-adapter.ts';
import { toClientMetadata } from './tenant/applications.ts';
import { findApplication } from './tenant/tenant.ts';
import { RefreshTokenAdapter } from './token/refresh-token.ts';
import {
  isJwt,
  readUserinfoGrant,
  USERINFO_GRANT,
  type UserinfoTokens,
} from './token/userinfo-token.ts';

interface AdapterParts extends Pick<AppContext, 'tenant' | 'store'> {
  readonly userinfoTokens: Pick<UserinfoTokens, 'verify'>;
}

/** Maximum of open sign-ins, which end after an hour. One has about 2 kB, a hostile one as much as a request. */
const MAX_INTERACTIONS = 5000;

/** Maximum of pushed requests, which end after a minute. One has at most 56 kB. */
const MAX_PUSHED_REQUESTS = 1000;

/** Creates the stores of the engine, whose own forgets records after a few thousand. */
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
            // The server stores no JWT, but /userinfo must accept them.
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
            // The engine reads and writes in two steps: only one of two simultaneous proofs may win.
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
