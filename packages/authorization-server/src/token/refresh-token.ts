import type { Adapter, AdapterPayload, KoaContextWithOIDC } from 'oidc-provider';
import type { StateStore } from '../state/file.ts';
import { type Application, findApplication, type Tenant } from '../tenant/tenant.ts';
import { createRefreshTokenFamilies } from './refresh-token-families.ts';

const DAY = 24 * 60 * 60;
const NEVER = 100 * 365 * DAY;

const epochTime = (): number => Math.floor(Date.now() / 1000);

/**
 * How many seconds a refresh token is good for from `now` on: until its absolute end, which counts
 * from the login and which rotation does not put off, or until it has lain idle for too long.
 */
export function refreshTokenSeconds(
  application: Application | undefined,
  /** When the first token of the family was issued, in epoch seconds. */
  loginAt: number | undefined,
  now = epochTime(),
): number {
  const { absolute, idle } = limitsOf(application);
  return Math.max(1, Math.min(idle, (loginAt ?? now) + absolute - now));
}

/** A grant outlives each of its refresh tokens. */
export function grantSeconds(application: Application | undefined): number {
  return limitsOf(application).absolute + DAY;
}

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

function limitsOf(application: Application | undefined): { absolute: number; idle: number } {
  if (application === undefined) return { absolute: 30 * DAY, idle: NEVER };
  const settings = application.refresh_token;
  const ends = settings.expiration_type === 'expiring';
  return {
    absolute: ends && !settings.infinite_token_lifetime ? settings.token_lifetime : NEVER,
    idle:
      ends && !settings.infinite_idle_token_lifetime
        ? (settings.idle_token_lifetime ?? NEVER)
        : NEVER,
  };
}
