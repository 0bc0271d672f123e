import type { AdapterPayload, KoaContextWithOIDC } from 'oidc-provider';
import { outcomeOf } from '../actions/login-outcome.ts';
import { isSessionRevoked, type Terms } from '../actions/session-terms.ts';
import type { StateStore } from '../state/memory.ts';
import { StoreAdapter } from '../state/store-adapter.ts';
import { type Application, findApplication, type Tenant } from '../tenant/tenant.ts';

const DAY_SECONDS = 24 * 60 * 60;
const NEVER_SECONDS = 100 * 365 * DAY_SECONDS;

const epochTime = (): number => Math.floor(Date.now() / 1000);

/** Returns the time from `now` to the idle end, or to the end that counts from the login. */
export function refreshTokenSeconds(
  application: Application | undefined,
  /** Time of the first token of the family, in epoch seconds. */
  loginAt: number | undefined,
  now = epochTime(),
): number {
  const { absolute, idle } = limitsOf(application);
  return Math.max(1, Math.min(idle, (loginAt ?? now) + absolute - now));
}

/** Returns a lifetime that also ends at the earliest time that Actions set; at least one second. */
export function shortenLifetime(seconds: number, terms: Terms | undefined): number {
  const now = epochTime();
  const ends = [terms?.expiresAt, terms?.idleExpiresAt]
    .filter((end) => end !== undefined)
    .map((end) => Math.floor(end / 1000) - now);
  return Math.max(1, Math.min(seconds, ...ends));
}

/** Returns the lifetime of a grant, which outlives each of its refresh tokens. */
export function grantSeconds(application: Application | undefined): number {
  return limitsOf(application).absolute + DAY_SECONDS;
}

/** Checks whether this use replaces the refresh token; if not, its idle time starts again. */
export async function rotatesRefreshToken(
  tenant: Tenant,
  ctx: KoaContextWithOIDC,
): Promise<boolean> {
  const { client, entities } = ctx.oidc;
  const application = findApplication(tenant, client?.clientId);
  if (application?.refresh_token.rotation_type === 'rotating') return true;
  const token = entities.RefreshToken;
  const terms = outcomeOf(ctx).refreshTerms;
  const isShorter = terms?.expiresAt !== undefined || terms?.idleExpiresAt !== undefined;
  if (token !== undefined && (isShorter || limitsOf(application).idle < NEVER_SECONDS)) {
    const now = epochTime();
    token.exp = now + shortenLifetime(refreshTokenSeconds(application, token.iiat, now), terms);
    await token.save();
  }
  return false;
}

function limitsOf(application: Application | undefined): { absolute: number; idle: number } {
  if (application === undefined) return { absolute: 30 * DAY_SECONDS, idle: NEVER_SECONDS };
  const settings = application.refresh_token;
  const ends = settings.expiration_type === 'expiring';
  return {
    absolute: ends && !settings.infinite_token_lifetime ? settings.token_lifetime : NEVER_SECONDS,
    idle:
      ends && !settings.infinite_idle_token_lifetime
        ? (settings.idle_token_lifetime ?? NEVER_SECONDS)
        : NEVER_SECONDS,
  };
}

/**
 * Stores refresh tokens that rotate as Auth0's do ("Refresh Token Rotation"). Within the leeway the previous
 * token may be used again. Any other second use is reuse, which ends the family.
 */
export class RefreshTokenAdapter extends StoreAdapter {
  readonly #tenant: Tenant;
  readonly #families: RefreshTokenFamilies;

  constructor(tenant: Tenant, store: StateStore) {
    super('RefreshToken', store);
    this.#tenant = tenant;
    this.#families = new RefreshTokenFamilies(store);
  }

  override async upsert(id: string, token: AdapterPayload, lifetime: number): Promise<void> {
    await super.upsert(id, token, lifetime);
    if (token.grantId === undefined) return;
    const { spent, ended } = this.#families.add(id, token, lifetime);
    for (const one of spent) this.#shorten(one);
    await Promise.all(ended.map((grantId) => this.revokeByGrantId(grantId)));
  }

  override async find(id: string): Promise<AdapterPayload | undefined> {
    const token = await this.#read(id);
    if (!token || isSessionRevoked(this.store, token.sessionUid)) return undefined;
    if (token.consumed) return this.#mayRepeat(token) ? { ...token, consumed: undefined } : token;
    // With a leeway a family can branch: a branch that falls behind is not the owner's.
    return this.#rotationsBehind(token) > 1 ? { ...token, consumed: this.store.now() } : token;
  }

  override async consume(id: string): Promise<void> {
    const token = await this.#read(id);
    // `find` accepted it; the Actions since then may have run longer than the leeway.
    if (token?.consumed && this.#leewayOf(token) > 0) return;
    try {
      await super.consume(id);
    } catch (error) {
      // Two simultaneous requests without a leeway are reuse. The engine checked both before the first was consumed.
      if (token?.grantId !== undefined) {
        await this.revokeByGrantId(token.grantId);
        this.store.deleteByGrantId('AccessToken', token.grantId);
        this.store.delete('Grant', token.grantId);
      }
      throw error;
    }
  }

  override async revokeByGrantId(grantId: string): Promise<void> {
    await super.revokeByGrantId(grantId);
    this.#families.delete(grantId);
  }

  async #read(id: string): Promise<AdapterPayload | undefined> {
    const token = await super.find(id);
    return token && token.clientId === undefined ? this.#families.restore(id, token) : token;
  }

  #shorten(id: string): void {
    const { grantId, jkt } = this.store.read(this.kind, id)?.content ?? {};
    this.store.replaceContent(this.kind, id, { grantId, jkt });
  }

  #mayRepeat(token: AdapterPayload): boolean {
    const leeway = this.#leewayOf(token);
    const age = this.store.now() - Number(token.consumed);
    return leeway > 0 && this.#rotationsBehind(token) <= 1 && age <= leeway;
  }

  #leewayOf({ clientId }: AdapterPayload): number {
    return findApplication(this.#tenant, clientId)?.refresh_token.leeway ?? 0;
  }

  #rotationsBehind({ grantId, rotations }: AdapterPayload): number {
    return grantId === undefined ? 0 : this.#families.latest(grantId) - Number(rotations ?? 0);
  }
}

interface Family {
  readonly latest: number;
  /** Ids and rotations of the tokens with complete records. */
  readonly whole: readonly (readonly [string, number])[];
  readonly clientId?: string | undefined;
  readonly accountId?: string | undefined;
  readonly scope?: string | undefined;
}

const FAMILY = 'RefreshTokenFamily';

/** Auth0's limit of active refresh tokens for one user and application. */
export const MAX_ACTIVE_FAMILIES = 200;

/** Maximum of tokens to shorten later. A leeway allows any number of branches; the rest stay complete. */
const MAX_WHOLE_TOKENS = 100;

export class RefreshTokenFamilies {
  readonly #store: StateStore;

  constructor(store: StateStore) {
    this.#store = store;
  }

  latest(grantId: string): number {
    return this.#find(grantId)?.latest ?? 0;
  }

  /** Adds a token. Returns the tokens that are now spent, and the logins that must end. */
  add(id: string, token: AdapterPayload, lifetime: number): { spent: string[]; ended: string[] } {
    const { grantId = '', clientId, accountId, scope, rotations } = token;
    const family = this.#find(grantId);
    const rotation = Number(rotations ?? 0);
    const latest = Math.max(family?.latest ?? 0, rotation);
    const whole = [...(family?.whole ?? [])];
    const isNew = !whole.some(([known]) => known === id);
    if (isNew && whole.length < MAX_WHOLE_TOKENS) whole.push([id, rotation]);
    // Not even a leeway goes further back than the previous token.
    const isSpent = ([, at]: readonly [string, number]): boolean => latest - at > 1;
    const stillWhole = whole.filter((one) => !isSpent(one));
    const changed: Family = { latest, whole: stillWhole, clientId, accountId, scope };
    const owner = ownerOf(changed);
    const ended = family === undefined ? this.#makeRoom(owner) : [];
    this.#store.write(FAMILY, grantId, changed, lifetime, { grantId: owner });
    return { spent: whole.filter(isSpent).map(([one]) => one), ended };
  }

  /** Returns a spent token with what the engine reads before it detects the reuse. */
  restore(id: string, spent: AdapterPayload): AdapterPayload | undefined {
    const { grantId = '', jkt, consumed = this.#store.now() } = spent;
    const family = this.#find(grantId);
    if (family === undefined) return undefined;
    const { clientId, accountId, scope, latest } = family;
    // Too far behind for a leeway.
    const rotations = latest - 2;
    const token = { kind: 'RefreshToken', jti: id, grantId, jkt, clientId, accountId, scope };
    return { ...token, rotations, consumed };
  }

  delete(grantId: string): void {
    this.#store.delete(FAMILY, grantId);
  }

  #find(grantId: string): Family | undefined {
    const content = this.#store.read(FAMILY, grantId)?.content;
    return content && ({ whole: [], ...content } as unknown as Family);
  }

  /** Removes the oldest families above the limit. @returns the logins that must end. */
  #makeRoom(owner: string): string[] {
    const grantIds = this.#store.idsByGrantId(FAMILY, owner);
    const ended = grantIds.slice(0, Math.max(0, grantIds.length - MAX_ACTIVE_FAMILIES + 1));
    for (const grantId of ended) this.delete(grantId);
    return ended;
  }
}

function ownerOf({ clientId, accountId }: Family): string {
  return JSON.stringify([clientId, accountId]);
}
