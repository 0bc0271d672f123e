import type { AdapterPayload } from 'oidc-provider';
import type { StateStore } from '../state/memory.ts';
import type { Tenant } from '../tenant/tenant.ts';

const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 60 * MINUTE_SECONDS;

/** Auth0's defaults: seven days, or three without use. */
const DEFAULT_SECONDS = 168 * HOUR_SECONDS;
const DEFAULT_IDLE_SECONDS = 72 * HOUR_SECONDS;

const SIGN_IN = 'SessionSignIn';

/** Returns the lifetimes of a signed-in session. @param ephemeral its cookie ends with the browser. */
export function sessionSeconds(
  { tenant: settings }: Tenant,
  ephemeral = false,
): { absolute: number; idle: number } {
  const secondsOf = (name: 'session_lifetime' | 'idle_session_lifetime') =>
    inSeconds(settings[`${name}_in_minutes`], settings[name]);
  const ephemeralSecondsOf = (
    name: 'ephemeral_session_lifetime' | 'idle_ephemeral_session_lifetime',
  ) => (ephemeral ? inSeconds(settings[`${name}_in_minutes`], settings[name]) : undefined);
  return {
    absolute:
      ephemeralSecondsOf('ephemeral_session_lifetime') ??
      secondsOf('session_lifetime') ??
      DEFAULT_SECONDS,
    idle:
      ephemeralSecondsOf('idle_ephemeral_session_lifetime') ??
      secondsOf('idle_session_lifetime') ??
      DEFAULT_IDLE_SECONDS,
  };
}

/**
 * Returns the seconds until a session ends, however often it is used. Stores the time of a new sign-in, which
 * starts them again. The clock of the store counts: setting the wall clock back extends no session.
 */
export function secondsUntilSessionEnd(
  tenant: Tenant,
  store: StateStore,
  { uid = '', accountId, loginTs, transient }: AdapterPayload,
): number {
  if (accountId === undefined) return Number.POSITIVE_INFINITY;
  const { absolute } = sessionSeconds(tenant, transient);
  const signIn = store.read(SIGN_IN, uid)?.content;
  if (signIn !== undefined && signIn.loginTs === loginTs) {
    return Math.max(1, Number(signIn.at) + absolute - store.now());
  }
  store.write(SIGN_IN, uid, { loginTs, at: store.now() }, absolute + HOUR_SECONDS);
  return absolute;
}

function inSeconds(minutes?: number | null, hours?: number | null): number | undefined {
  if (minutes) return minutes * MINUTE_SECONDS;
  return hours ? Math.round(hours * HOUR_SECONDS) : undefined;
}
