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
/** What a secret is made of; shorter ones are none. */
const WORD = /[\w.~-]{20,}/g;
const JWT = /eyJ[\w-]{10,}\.eyJ[\w-]+/;

/** Knows every secret that went over a wire, and looks for them where none may be. */
export class Secrets {
  readonly #onWires = new Map<string, string>();
  readonly #words = new Map<string, string>();
  readonly #lasting: readonly Secret[];

  /** @param lasting those that were there before the run */
  constructor(lasting: readonly Secret[]) {
    this.#lasting = lasting;
  }

  get known(): number {
    return this.#onWires.size;
  }

  /** Takes the secrets from what goes over a wire. */
  learn(text: string): void {
    for (const [kind, pattern] of KINDS) {
      for (const [, value = ''] of text.matchAll(pattern)) this.#onWires.set(value, kind);
    }
  }

  /** Remembers a text that may hold none. @param place where it is from */
  watch(place: string, text: string): void {
    for (const [word] of text.matchAll(WORD)) this.#words.set(word, place);
  }

  /** @param logs by the name of the service. @returns what was found where, without the secret */
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
