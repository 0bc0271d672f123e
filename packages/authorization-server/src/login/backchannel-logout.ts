import { randomUUID } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import type { Client, Provider } from 'oidc-provider';

/** What the engine's types leave out of a client. */
type Notifiable = Client & { backchannelLogout(sub: string, sid?: string): Promise<void> };

/** What they leave out of its ID tokens, of which a logout token is one. */
interface LogoutToken {
  mask: object;
  set(claim: string, value: unknown): void;
  issue(options: { use: 'logout' }): Promise<string>;
}

interface EndingSession {
  readonly accountId?: string | undefined;
  readonly authorizations?: Readonly<Record<string, unknown>> | undefined;
  sidFor(clientId: string): string | undefined;
}

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
/** Milliseconds. */
const TIME_LIMIT = 2500;

/**
 * Lets logout tokens go to any address, by replacing one more method of the engine: its own refuses
 * all that are not public, to protect itself from what clients register, and can't look at addresses
 * inside of Jest, of which it complains. Here the addresses are the tenant file's. No redirect is
 * followed, and of the answer the status alone counts (OpenID Connect Back-Channel Logout 1.0 §2.5).
 */
export function sendLogoutTokensAnywhere(provider: Provider): void {
  const IdToken = provider.IdToken as unknown as new (claims: object, of: object) => LogoutToken;
  const prototype = provider.Client.prototype as Notifiable;
  prototype.backchannelLogout = async function sendLogoutToken(this: Notifiable, sub, sid) {
    const token = new IdToken({ sub }, { client: this, ctx: undefined });
    token.mask = { sub: null };
    token.set('events', { [EVENT]: {} });
    token.set('jti', randomUUID());
    token.set('sid', sid);
    const logoutToken = await token.issue({ use: 'logout' });
    const { body, status } = await fetch(String(this.backchannelLogoutUri), {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ logout_token: logoutToken }),
      signal: AbortSignal.timeout(TIME_LIMIT),
    });
    await body?.cancel();
    if (status !== 200 && status !== 204) throw new Error(`it answered ${status}, not 200`);
  };
}

/**
 * Tells the applications that were signed in to with a session that it ends, all at once. The engine
 * does so itself only behind its own question whether to sign out; its events tell how it went.
 */
export async function announceLogout(
  provider: Provider,
  ctx: object,
  session: EndingSession,
): Promise<void> {
  const { accountId, authorizations = {} } = session;
  const events: EventEmitter = provider;
  if (accountId === undefined) return;
  const announce = async (clientId: string): Promise<void> => {
    const client = (await provider.Client.find(clientId)) as Notifiable | undefined;
    if (client?.backchannelLogoutUri === undefined) return;
    const sid = session.sidFor(clientId);
    try {
      await client.backchannelLogout(accountId, sid);
      events.emit('backchannel.success', ctx, client, accountId, sid);
    } catch (error) {
      events.emit('backchannel.error', ctx, error, client, accountId, sid);
    }
  };
  await Promise.all(Object.keys(authorizations).map(announce));
}
