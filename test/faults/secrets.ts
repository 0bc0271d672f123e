import { findSecrets, type Secret } from '../support/secret-search.ts';

const KINDS: readonly (readonly [kind: string, RegExp])[] = [
  ['access token', /^authorization: Bearer ([\w.~+/=-]+)/gim],
  ['access token', /"access_token":"([^"]+)"/g],
  ['refresh token', /"refresh_token":"([^"]+)"/g],
  ['ID token', /"id_token":"([^"]+)"/g],
  ['code', /[?&]code=([\w-]{20,})/g],
  ['verifier', /[?&]code_verifier=([\w-]{20,})/g],
  ['session cookie', /^set-cookie: session=([\w.-]{20,})/gim],
];
/** Characters of a secret. Shorter words are no secrets. */
const WORD = /[\w.~-]{20,}/g;
const JWT = /eyJ[\w-]{10,}\.eyJ[\w-]+/;

/** Collects every secret from the network, and finds them in logs and pages. */
export class Secrets {
  readonly #onWires = new Map<string, string>();
  readonly #words = new Map<string, string>();
  readonly #lasting: readonly Secret[];

  /** @param lasting secrets from before the run */
  constructor(lasting: readonly Secret[]) {
    this.#lasting = lasting;
  }

  get known(): number {
    return this.#onWires.size;
  }

  /** Collects the secrets of a message. */
  learn(text: string): void {
    for (const [kind, pattern] of KINDS) {
      for (const [, value = ''] of text.matchAll(pattern)) this.#onWires.set(value, kind);
    }
  }

  /** Remembers a text that must contain no secret. @param place source of the text */
  watch(place: string, text: string): void {
    for (const [word] of text.matchAll(WORD)) this.#words.set(word, place);
  }

  /** @param logs by the name of the service. @returns kind and place of each secret that was found */
  find(logs: ReadonlyMap<string, string>): string[] {
    for (const [name, log] of logs) this.watch(`the log of ${name}`, log);
    const signatures = [...this.#onWires].flatMap(([value, kind]) => {
      const [, , signature] = value.split('.');
      return signature ? [[signature, `signature of an ${kind}`] as const] : [];
    });
    const secrets = new Map([...this.#onWires, ...signatures]);
    const found = [...this.#words].flatMap(([word, place]) => {
      const pieces = [word, ...word.split('.')];
      const kind = pieces.map((piece) => secrets.get(piece)).find((one) => one !== undefined);
      if (kind !== undefined) return [`${kind} in ${place}`];
      return JWT.test(word) ? [`a JWT in ${place}`] : [];
    });
    const places = [...logs].map(([name, text]) => ({ name: `the log of ${name}`, text }));
    return [...new Set([...found, ...findSecrets(this.#lasting, places)])];
  }
}
