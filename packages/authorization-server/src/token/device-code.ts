import type { AdapterPayload } from 'oidc-provider';
import type { LoginAttempts } from '../http/limits.ts';
import { errors, Provider } from '../oidc-provider.ts';
import type { StateStore } from '../state/memory.ts';
import { BoundedAdapter } from '../state/store-adapter.ts';

export const DEVICE_CODE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

/** Lifetime of a device code and its user code, as at Auth0. */
export const DEVICE_CODE_SECONDS = 900;

/** Time between two polls of a device. */
export const INTERVAL_SECONDS = 5;

/** Auth0's text for a user who does not confirm the device. */
export const NOT_CONFIRMED = 'User cancelled the confirmation prompt';

/** Maximum of device codes, which anyone can request for a public client. */
const MAX_DEVICE_CODES = 1000;

/** Time for which an ended code is stored: the next poll gets `expired_token`. */
const ENDED_CODE_SECONDS = 900;

const POLL = 'DevicePoll';

/** An error of a page on which too many wrong codes were typed. */
export type TooManyCodes = Error & { readonly wait: number };

/** Stores device codes (RFC 8628): devices poll with them, users type the user codes in a browser. */
export class DeviceCodeAdapter extends BoundedAdapter {
  readonly #attempts: LoginAttempts;

  /** @param attempts counts wrong user codes by address (RFC 8628 §5.1). */
  constructor(store: StateStore, attempts: LoginAttempts) {
    super('DeviceCode', store, MAX_DEVICE_CODES);
    this.#attempts = attempts;
  }

  override async upsert(id: string, code: AdapterPayload, lifetime: number): Promise<void> {
    await super.upsert(id, code, lifetime + ENDED_CODE_SECONDS);
  }

  /** @throws SlowDown when a device polls faster than it may (RFC 8628 §3.5). */
  override async find(id: string): Promise<AdapterPayload | undefined> {
    const code = await super.find(id);
    const polls = Provider.ctx?.oidc.route === 'token';
    if (code === undefined || !polls) return code;
    if (this.store.read(POLL, id) !== undefined) throw new errors.SlowDown();
    this.store.write(POLL, id, {}, INTERVAL_SECONDS);
    // At Auth0 too, only one poll gets `expired_token`, and the next ones `invalid_grant`.
    if (Number(code.exp) * 1000 <= Date.now()) await this.destroy(id);
    return code;
  }

  /** @throws TooManyCodes */
  override async findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    const address = Provider.ctx?.ip ?? '';
    const wait = await this.#attempts.count('', address);
    if (wait !== undefined) {
      const text = `Too many wrong codes. Wait ${wait} seconds, then try again.`;
      throw Object.assign(new errors.CustomOIDCProviderError('too_many_requests', text), { wait });
    }
    const code = await this.findByUid(userCode);
    if (code !== undefined) await this.#attempts.removeAttempt('', address);
    return code;
  }
}
