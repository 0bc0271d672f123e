interface Cookie {
  readonly name: string;
  readonly value: string;
  readonly path: string;
}

/** The cookies of one server, as a browser stores them: by name and path (RFC 6265 §5.3). */
export class Cookies {
  readonly #stored = new Map<string, Cookie>();

  /** Returns the `Cookie` header of a request to this path; empty when there are no cookies. */
  header(path: string): string {
    return [...this.#stored.values()]
      .filter((cookie) => isWithin(path, cookie.path))
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
  }

  /** Stores the cookies that a response sets, and removes those that it ends. */
  store(response: Response): void {
    for (const line of response.headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split(/; */);
      const [name = '', value = ''] = split(pair);
      const path = attribute(attributes, 'path') ?? '/';
      const end = attribute(attributes, 'expires');
      const key = JSON.stringify([name, path]);
      if (end !== undefined && Date.parse(end) <= Date.now()) this.#stored.delete(key);
      else this.#stored.set(key, { name, value, path });
    }
  }
}

/** RFC 6265 §5.1.4. */
function isWithin(path: string, of: string): boolean {
  return path === of || path.startsWith(of.endsWith('/') ? of : `${of}/`);
}

function attribute(attributes: readonly string[], name: string): string | undefined {
  return attributes.map(split).find(([key = '']) => key.toLowerCase() === name)?.[1];
}

function split(pair: string): string[] {
  const at = pair.indexOf('=');
  return at < 0 ? [pair] : [pair.slice(0, at), pair.slice(at + 1)];
}
