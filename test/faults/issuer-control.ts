import type { ServiceProcess } from './service-process.ts';

/** Client of the issuer's control port. A restarted issuer prints a new token. */
export class IssuerControl {
  readonly #issuer: ServiceProcess;

  constructor(issuer: ServiceProcess) {
    this.#issuer = issuer;
  }

  addFault(fault: Readonly<Record<string, unknown>>): Promise<void> {
    return this.#ask('POST', '/faults', fault);
  }

  clearFaults(): Promise<void> {
    return this.#ask('DELETE', '/faults');
  }

  rotateKeys(options: { readonly revoke: boolean }): Promise<void> {
    return this.#ask('POST', '/rotate-keys', options);
  }

  /** @param seconds how far the clock is ahead */
  setClock(seconds: number): Promise<void> {
    return this.#ask('PUT', '/clock', { clock: seconds });
  }

  #address(): [url: string, token: string] {
    const [, url = '', token = ''] =
      [...this.#issuer.printed().matchAll(/^control (\S+), token (\S+)$/gm)].at(-1) ?? [];
    return [url, token];
  }

  async #ask(method: string, path: string, content?: unknown): Promise<void> {
    const [url, token] = this.#address();
    const answer = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(content !== undefined && { body: JSON.stringify(content) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`the control answered ${answer.status}: ${text}`);
  }
}
