import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider';
import type { AppContext } from './context.ts';
import { secondsUntilSessionEnd } from './login/session-lifetime.ts';
import { errors, Provider } from './oidc-provider.ts';
import { BoundedAdapter, StoreAdapter } from './state/store-adapter.ts';
import { toClientMetadata } from './tenant/applications.ts';
import { findApplication } from './tenant/tenant.ts';
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

/** Lets `/userinfo` accept an opaque token for an API too: the engine would refuse any audience. */
function forUserinfo(token: AdapterPayload | undefined): AdapterPayload | undefined {
  return token && Provider.ctx?.oidc.route === 'userinfo' ? { ...token, aud: undefined } : token;
}

/** Creates the stores of the engine. The engine's own store forgets records after a few thousand. */
export function createAdapter({
  tenant,
  store,
  limits,
  userinfoTokens,
}: AdapterParts): AdapterFactory {
  return (kind) => {
    const records = new StoreAdapter(kind, store);
    const finding = (find: StoreAdapter['find']): Adapter =>
      Object.assign(new StoreAdapter(kind, store), { find });
    switch (kind) {
      case 'Client':
        return finding(async (id) => {
          const application = findApplication(tenant, id);
          return application && toClientMetadata(application);
        });
      case 'AccessToken':
        // The server stores no JWT, but /userinfo must accept them.
        return finding(async (id) =>
          isJwt(id) ? userinfoTokens.verify(id) : forUserinfo(await records.find(id)),
        );
      case 'AuthorizationCode':
        // A refresh token outlives the session, an unused code does not.
        return finding(async (id) => {
          const code = await records.find(id);
          if (!code || code.consumed) return code;
          const session = store.readByUid('Session', code.sessionUid ?? '');
          return session?.content.accountId === code.accountId ? code : undefined;
        });
      case 'DeviceCode':
        return new DeviceCodeAdapter(store, limits.userCodes);
      case 'Grant':
        return finding(async (id) =>
          id.startsWith(USERINFO_GRANT) ? readUserinfoGrant(id) : records.find(id),
        );
      case 'RefreshToken':
        return new RefreshTokenAdapter(tenant, store);
      case 'Session':
        return Object.assign(new StoreAdapter(kind, store), {
          // At its end, a request stores the session that it read at its start, even if another request has ended it.
          upsert: async (id: string, payload: AdapterPayload, lifetime: number) => {
            if (store.read(ENDED_SESSION, id)) return;
            const left = secondsUntilSessionEnd(tenant, store, payload);
            await records.upsert(id, payload, Math.min(lifetime, left));
          },
          destroy: async (id: string) => {
            store.write(ENDED_SESSION, id, {}, ENDED_SESSION_SECONDS);
            await records.destroy(id);
          },
        });
      case 'Interaction':
        return new BoundedAdapter(kind, store, MAX_INTERACTIONS);
      case 'PushedAuthorizationRequest':
        return new BoundedAdapter(kind, store, MAX_PUSHED_REQUESTS);
      case 'ReplayDetection':
        return Object.assign(new StoreAdapter(kind, store), {
          upsert: async (id: string, payload: AdapterPayload, lifetime: number) => {
            // The engine reads and writes in two steps: only one of two simultaneous proofs may win.
            if (store.read(kind, id)) throw new errors.InvalidRequest('already used');
            await records.upsert(id, payload, lifetime);
          },
        });
      default:
        return records;
    }
  };
}
