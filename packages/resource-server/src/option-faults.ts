import { InvalidOptions } from '@koa-oauth/issuer';

/** Collects what is wrong with options, so that one error names all of it. */
export class OptionFaults {
  readonly #prefix: string;
  readonly #texts: string[];

  /** @param prefix stands before each text */
  constructor(prefix = '', texts: string[] = []) {
    this.#prefix = prefix;
    this.#texts = texts;
  }

  /** Returns a collector for a part of the options. Its faults are also among these. */
  within(prefix: string): OptionFaults {
    return new OptionFaults(this.#prefix + prefix, this.#texts);
  }

  add(isWrong: boolean, text: string): void {
    if (isWrong) this.#texts.push(this.#prefix + text);
  }

  /** Adds the options that do not exist. @param group stands before each name */
  addUnknown(unknown: object, group = ''): void {
    const names = Object.keys(unknown).map((name) => group + name);
    this.add(names.length > 0, `unknown: ${names.join(', ')}`);
  }

  /** Adds a tolerance that is not 0 to 300 seconds. `exp` plus a string would be a longer string. */
  addClockTolerance(value: unknown): void {
    const isTolerance = typeof value === 'number' && value >= 0 && value <= 300;
    this.add(!isTolerance, 'clockTolerance must be 0 to 300 seconds');
  }

  /** Adds a store that lacks a method. @param name that of the option */
  addStore(name: string, store: unknown, methods: readonly string[]): void {
    const given = (store ?? {}) as Readonly<Record<string, unknown>>;
    this.add(
      methods.some((method) => typeof given[method] !== 'function'),
      `${name} must be made with memorySet, redisSet or postgresSet, or have the same methods`,
    );
  }

  /** @throws InvalidOptions with all faults, if any. @param name that of the function with the options */
  throwIfAny(name?: string): void {
    if (this.#texts.length === 0) return;
    const text = this.#texts.join('; ');
    throw new InvalidOptions(name === undefined ? text : `${name}: ${text}`);
  }
}

/** Returns options as they were given; anything that is no object has none. */
export function asOptions<Options>(given: unknown): Options {
  return (typeof given === 'object' && given !== null ? given : {}) as Options;
}
