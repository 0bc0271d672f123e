import type { Adapter, AdapterPayload, KoaContextWithOIDC } from 'oidc-provider';
import type { StateStore } from '../state/file.ts';
import { findApplication, type Tenant } from '../tenant/tenant.ts';
import { epochTime, limitsOf, NEVER, refreshTokenSeconds } from '../tenant/token-lifetimes.ts';

/**
 * Whether this use of a refresh token replaces it. One that stays begins its idle time again.
 */
export async function rotatesRefreshToken(
  tenant: Tenant,
  ctx: KoaContextWithOIDC,
): Promise<boolean> {
  const { client, entities } = ctx.oidc;
  const application = findApplication(tenant, client?.clientId ?? '');
  if (application?.refresh_token.rotation_type === 'rotating') return true;
  const token = entities.RefreshToken;
  if (token !== undefined && limitsOf(application).idle < NEVER) {
    const now = epochTime();
    token.exp = now + refreshTokenSeconds(application, token.iiat, now);
    await token.save();
  }
  return false;
}

/**
 * Refresh tokens that rotate as Auth0's do ("Refresh Token Rotation"): within the leeway the
 * immediately previous token may be used again; any later use, or that of an older one, counts as
 * reuse, for which the engine ends the family and its grant. Until its own end a token that can
 * never be good again is kept for that alone, as little as is needed to know it.
 *
 * @param now epoch seconds.
 */
export function rotatingAdapter(
  adapter: Adapter,
  tenant: Tenant,
  store: StateStore,
  now: () => number = epochTime,
): Adapter {
  const families = createRefreshTokenFamilies(store, now);
  const behind = ({ grantId, rotations }: AdapterPayload): number =>
    grantId === undefined ? 0 : families.latestOf(grantId) - Number(rotations ?? 0);
  const leewayOf = ({ clientId }: AdapterPayload): number =>
    findApplication(tenant, clientId ?? '')?.refresh_token.leeway ?? 0;
  const mayRepeat = (token: AdapterPayload): boolean => {
    const leeway = leewayOf(token);
    return leeway > 0 && behind(token) <= 1 && now() - Number(token.consumed) <= leeway;
  };
  const read = async (id: string): Promise<AdapterPayload | undefined> => {
    const token = (await adapter.find(id)) || undefined;
    return token && token.clientId === undefined ? families.restore(id, token) : token;
  };
  const end = async (grantId: string): Promise<void> => {
    await adapter.revokeByGrantId(grantId);
    families.end(grantId);
  };
  const shorten = async (id: string): Promise<void> => {
    const { grantId, jkt, exp } = (await adapter.find(id)) || {};
    const left = Number(exp) - now();
    if (left > 0) await adapter.upsert(id, { grantId, jkt }, left);
  };

  return {
    ...adapter,
    revokeByGrantId: end,
    async upsert(id, token, lifetime) {
      await adapter.upsert(id, token, lifetime);
      if (token.grantId === undefined) return;
      const { spent, ended } = families.note(id, token, lifetime ?? NEVER);
      await Promise.all([...spent.map(shorten), ...ended.map(end)]);
    },
    async find(id) {
      const token = await read(id);
      if (!token) return undefined;
      if (token.consumed) return mayRepeat(token) ? { ...token, consumed: undefined } : token;
      // A leeway lets a family branch: a branch that falls behind the other is not the owner's.
      return behind(token) > 1 ? { ...token, consumed: now() } : token;
    },
    async consume(id) {
      const token = await read(id);
      // `find` saw that it may be used; the Actions since then may have taken longer than the leeway.
      if (token?.consumed && leewayOf(token) > 0) return;
      try {
        await adapter.consume(id);
      } catch (error) {
        // Two requests at once, and no leeway: reuse, which the engine's look at it came too early for.
        if (token?.grantId !== undefined) {
          await end(token.grantId);
          store.deleteByGrantId('AccessToken', token.grantId);
          store.delete('Grant', token.grantId);
        }
        throw error;
      }
    },
  };
}

/** What the refresh tokens of each login have in common. */
export interface RefreshTokenFamilies {
  /** How often the family has rotated. */
  latestOf(grantId: string): number;
  /**
   * Notes a token that was issued or put off.
   *
   * @param lifetime seconds.
   * @returns the tokens that can never be good again, and the logins that have to end.
   */
  note(id: string, token: AdapterPayload, lifetime: number): { spent: string[]; ended: string[] };
  /** A spent token with all that is looked at before its reuse is seen; undefined: its family is gone. */
  restore(id: string, spent: AdapterPayload): AdapterPayload | undefined;
  end(grantId: string): void;
}

interface Family {
  readonly latest: number;
  /** Ids and rotations of the tokens whose records are whole. */
  readonly whole: readonly (readonly [string, number])[];
  readonly clientId?: string | undefined;
  readonly accountId?: string | undefined;
  readonly scope?: string | undefined;
}

const FAMILY = 'RefreshTokenFamily';

/** Auth0's limit of active refresh tokens for one user and application. */
export const MOST_ACTIVE = 200;

/** A leeway may be used for more branches than anybody needs: further ones stay whole. */
const MOST_WHOLE = 100;

/** @param now epoch seconds. */
export function createRefreshTokenFamilies(
  store: StateStore,
  now: () => number,
): RefreshTokenFamilies {
  const familyOf = (grantId: string): Family | undefined => {
    const content = store.read(FAMILY, grantId)?.content;
    return content && ({ whole: [], ...content } as unknown as Family);
  };
  /** Makes room for one more family. @returns the logins that have to end. */
  const makeRoom = (owner: string): string[] => {
    const grants = store.idsByGrantId(FAMILY, owner);
    const ended = grants.slice(0, Math.max(0, grants.length - MOST_ACTIVE + 1));
    for (const grant of ended) store.delete(FAMILY, grant);
    return ended;
  };

  return {
    latestOf: (grantId) => familyOf(grantId)?.latest ?? 0,
    note(id, { grantId = '', clientId, accountId, scope, rotations }, lifetime) {
      const family = familyOf(grantId);
      const rotation = Number(rotations ?? 0);
      const latest = Math.max(family?.latest ?? 0, rotation);
      const whole = [...(family?.whole ?? [])];
      const isNew = !whole.some(([known]) => known === id);
      if (isNew && whole.length < MOST_WHOLE) whole.push([id, rotation]);
      // Not even a leeway goes further back than the previous token.
      const isSpent = ([, of]: readonly [string, number]): boolean => latest - of > 1;
      const kept: Family = {
        latest,
        whole: whole.filter((one) => !isSpent(one)),
        clientId,
        accountId,
        scope,
      };
      const owner = ownerOf(kept);
      const ended = family === undefined ? makeRoom(owner) : [];
      store.write(FAMILY, grantId, kept, lifetime, { grantId: owner });
      return { spent: whole.filter(isSpent).map(([one]) => one), ended };
    },
    restore(id, { grantId = '', jkt, consumed = now() }) {
      const family = familyOf(grantId);
      if (family === undefined) return undefined;
      const { clientId, accountId, scope, latest } = family;
      return {
        kind: 'RefreshToken',
        jti: id,
        grantId,
        jkt,
        clientId,
        accountId,
        scope,
        // Further behind than a leeway goes.
        rotations: latest - 2,
        consumed,
      };
    },
    end: (grantId) => store.delete(FAMILY, grantId),
  };
}

/** Families are found by it, where other records are found by their grant. */
function ownerOf({ clientId, accountId }: Family): string {
  return JSON.stringify([clientId, accountId]);
}
