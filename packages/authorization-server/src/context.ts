import { describeError } from '@koa-oauth/service';
import type { Provider } from 'oidc-provider';
import type { Logger } from 'pino';
import type { ActionCache } from './actions/cache.ts';
import { Outcomes } from './actions/login-outcome.ts';
import { PostLogin } from './actions/post-login.ts';
import { Organizations } from './claims/organizations.ts';
import type { Faults } from './control/faults.ts';
import type { Limits } from './http/limits.ts';
import type { SigningKeys } from './keys/signing-keys.ts';
import type { Transactions } from './log/transactions.ts';
import { Consents } from './login/grants.ts';
import type { StateStore } from './state/memory.ts';
import type { Tenant } from './tenant/tenant.ts';
import { Users } from './tenant/users.ts';

/** Parts of a server that outlive an engine, and those that a new engine is made for. */
export interface AppParts {
  readonly issuer: string;
  readonly tenant: Tenant;
  readonly keys: SigningKeys;
  readonly store: StateStore;
  readonly isListening: () => boolean;
  readonly limits: Limits;
  /** Values that the Actions of each trigger share. */
  readonly caches: Readonly<Record<'postLogin' | 'credentialsExchange', ActionCache>>;
  /** Seconds by which the times in tokens are ahead of the real clock; negative: behind. */
  readonly clock: { seconds: number };
  readonly log: Logger;
  readonly faults: Faults;
  readonly transactions: Transactions;
  readonly showLog: boolean;
}

/** Dependencies of everything that runs within one engine. */
export interface AppContext extends AppParts {
  readonly tenantName: string;
  readonly users: Users;
  readonly consents: Consents;
  readonly organizations: Organizations;
  readonly postLogin: PostLogin;
  readonly outcomes: Outcomes;
}

/** Dependencies of the pages, which also call the engine. */
export interface PageContext extends AppContext {
  readonly provider: Provider;
}

export function createContext(parts: AppParts): AppContext {
  const { tenant, store } = parts;
  const log = parts.log.child({}, { serializers: { err: describeError } });
  const organizations = new Organizations(parts);
  const users = new Users(parts);
  return {
    ...parts,
    log,
    tenantName: tenant.tenant.friendly_name,
    users,
    consents: new Consents(store),
    organizations,
    postLogin: new PostLogin({ ...parts, log, organizations, users }),
    outcomes: new Outcomes(store),
  };
}
