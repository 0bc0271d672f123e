import { lookup } from 'node:dns';
import { type ClientRequest, Agent as HttpAgent, type IncomingHttpHeaders } from 'node:http';
import { Agent } from 'node:https';
import type { LookupFunction } from 'node:net';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import got, { type OptionsOfBufferResponseBody } from 'got';
import { InvalidOptions, unknownOptions } from './errors.ts';
import { type HttpExchange, publishExchange } from './events.ts';
import { isLoopback } from './issuer-identifier.ts';
import { parseProxy, proxyError, TunnelAgent } from './tunnel-agent.ts';

/** Options of `createHttpClient`. */
export interface HttpClientOptions {
  /** Maximum milliseconds for a whole exchange, body included. Default: 5,000. */
  timeout?: number | undefined;
  /** Maximum bytes of an answer's body, decoded. Default: 512 KiB. */
  maxBodyBytes?: number | undefined;
  /**
   * URL of the proxy that `https` requests go through (`http://user:password@proxy.example:3128`), or
   * false for none. Default: `HTTPS_PROXY` and `NO_PROXY` of the environment, whose scheme can be missing.
   * Loopback addresses are always reached directly.
   */
  proxy?: string | false | undefined;
  /** Certificates (PEM) of authorities that are trusted in addition to the default ones. */
  ca?: string | readonly string[] | undefined;
}

/** One request of an `HttpClient`. */
export interface HttpRequest {
  /** Default: `GET`. */
  method?: string | undefined;
  /** Default: `Accept: application/json`. A function is called for each time that the request is sent. */
  headers?: Record<string, string> | (() => Record<string, string>) | undefined;
  /** Sent as it is; its `content-type` belongs in `headers`. */
  body?: string | Uint8Array | undefined;
  signal?: AbortSignal | undefined;
}

/** A complete answer. Another server wrote it: check it before use. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The body as text, without a byte order mark. */
  readonly body: string;
}

/**
 * Sends one request and reads the whole answer, whatever its status.
 *
 * @throws HttpError when there is no answer that can be read
 */
export type HttpClient = (url: string | URL, request?: HttpRequest) => Promise<HttpAnswer>;

/**
 * Error for a request without an answer, or with one that cannot be read. It contains no header, body
 * or query of the request.
 *
 * @example
 * const answer = await http(url).catch((error: HttpError) => {
 *   if (error.code === 'ETIMEDOUT') return undefined;
 *   throw error;
 * });
 */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  /** A code of Node (`ECONNREFUSED`, `ETIMEDOUT`) or of this client (`ERR_HTTP_…`). */
  readonly code: string;

  constructor(method: string, url: URL, code: string, reason = code) {
    super(`${method} ${url.origin}${url.pathname}: ${reason}`);
    this.code = code;
  }
}

const MAX_BODY_BYTES = 512 * 1024;
const TIMEOUT_MS = 5000;
const DEFAULT_HEADERS = {
  accept: 'application/json',
  'user-agent': 'koa-oauth',
  'accept-encoding': 'identity',
};

type Decoder = (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;

const DECODERS: ReadonlyMap<string, Decoder> = new Map([
  ['gzip', promisify(gunzip)],
  ['x-gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
  ['br', promisify(brotliDecompress)],
]);

/**
 * Makes the one client that all outbound requests of these libraries go through.
 *
 * It limits the time of the whole exchange and the size of the body. It follows no redirect, stores no
 * cookies, always checks certificates (TLS 1.2 or newer), and asks for answers without a content
 * coding. It repeats only a GET whose reused connection was closed before an answer came (RFC 9112
 * §9.3.1).
 *
 * @throws InvalidOptions when a limit is no positive number, or `proxy` is no `http` or `https` URL
 * @example
 * const http = createHttpClient({ timeout: 2000, ca: readFileSync('company-ca.pem', 'utf8') });
 * const { status, body } = await http('https://tenant.example.com/.well-known/jwks.json');
 */
export function createHttpClient(options: HttpClientOptions = {}): HttpClient {
  checkOptions(options);
  const sender = new Sender(options);
  return async function http(target, request = {}) {
    const url = new URL(target);
    return publishExchange(request.method, url, (added) => sender.send(url, request, added));
  };
}

/** Sends requests within the limits of one client. */
class Sender {
  readonly #defaults: OptionsOfBufferResponseBody;
  readonly #maxBodyBytes: number;
  readonly #agents: ProxyAgents;

  constructor({ timeout, maxBodyBytes = MAX_BODY_BYTES, proxy, ca }: HttpClientOptions) {
    this.#maxBodyBytes = maxBodyBytes;
    this.#agents = new ProxyAgents(proxy, timeout ?? TIMEOUT_MS);
    this.#defaults = {
      responseType: 'buffer',
      followRedirect: false,
      throwHttpErrors: false,
      retry: { limit: 0 },
      timeout: { request: timeout ?? TIMEOUT_MS },
      // `decodeBody` limits the size: a few compressed kilobytes can become gigabytes.
      decompress: false,
      enableUnixSockets: false,
      https: {
        // Set here, so that NODE_TLS_REJECT_UNAUTHORIZED cannot switch it off.
        rejectUnauthorized: true,
        minVersion: 'TLSv1.2',
        ...(ca !== undefined && {
          certificateAuthority: [...defaultAuthorities(), ...[ca].flat()],
        }),
      },
    };
  }

  async send(
    url: URL,
    { method = 'GET', headers, body, signal }: HttpRequest,
    added?: HttpExchange['headers'],
  ): Promise<HttpAnswer> {
    const options: OptionsOfBufferResponseBody = {
      ...this.#defaults,
      method: method as 'GET',
      ...(body !== undefined && { body }),
      ...(signal && { signal }),
      ...(/\.localhost\.?$|^localhost\.$/.test(url.hostname) && { dnsLookup: lookUpLocalhost }),
    };
    for (let count = 1; ; count += 1) {
      const given = typeof headers === 'function' ? headers() : headers;
      const attempt = new Attempt(this.#maxBodyBytes);
      try {
        const all = { ...DEFAULT_HEADERS, ...added, ...given };
        const agent = { http: HTTP_AGENT, https: await this.#agents.find(url) };
        return await attempt.send(url, { ...options, agent, headers: all });
      } catch (error) {
        if (count === 1 && method === 'GET' && attempt.wasCutOff(error)) continue;
        const { code, name, message } = error as { code?: unknown; name: string; message: string };
        const reason = OWN_CODES.includes(code) ? message : undefined;
        // The code of a signal's timeout is the number of a DOMException.
        const known = name === 'TimeoutError' ? 'ETIMEDOUT' : String(code ?? name);
        throw new HttpError(method, url, known, reason);
      }
    }
  }
}

const OWN_CODES: readonly unknown[] = ['ERR_HTTP_TOO_LARGE', 'ERR_HTTP_CODING', 'ERR_HTTP_PROXY'];

/** One attempt to send a request. */
class Attempt {
  readonly #maxBodyBytes: number;
  #request: ClientRequest | undefined;
  #isAnswered = false;

  constructor(maxBodyBytes: number) {
    this.#maxBodyBytes = maxBodyBytes;
  }

  async send(url: URL, options: OptionsOfBufferResponseBody): Promise<HttpAnswer> {
    const exchange = got(url, options);
    let isTooLarge = false;
    exchange.on('request', (request: ClientRequest) => {
      this.#request = request;
      request.once('response', () => {
        this.#isAnswered = true;
      });
      refuseUpgrade(request);
    });
    exchange.on('downloadProgress', ({ transferred }) => {
      if (transferred <= this.#maxBodyBytes || isTooLarge) return;
      isTooLarge = true;
      exchange.cancel();
    });
    const {
      statusCode: status,
      headers,
      body,
    } = await exchange.catch((error: unknown) => {
      throw isTooLarge ? tooLarge(this.#maxBodyBytes) : error;
    });
    const coding = headers['content-encoding'];
    return { status, headers, body: await decodeBody(body, coding, this.#maxBodyBytes) };
  }

  /** Reports whether the server closed a reused connection before it answered. */
  wasCutOff(error: unknown): boolean {
    const { code } = error as { code?: unknown };
    const isGone = code === 'ECONNRESET' || code === 'EPIPE';
    return isGone && this.#request?.reusedSocket === true && !this.#isAnswered;
  }
}

// Not every resolver knows that names under localhost are loopback, and none on the network may answer
// for them (RFC 6761 §6.3).
const lookUpLocalhost: LookupFunction = (_name, options, callback) => {
  lookup('localhost', options, callback);
};

/** Decodes a body. @throws Error `ERR_HTTP_TOO_LARGE` or `ERR_HTTP_CODING` */
async function decodeBody(bytes: Buffer, coding = 'identity', maxBytes: number): Promise<string> {
  const name = coding.trim().toLowerCase();
  const decode = DECODERS.get(name);
  if (!decode && name !== 'identity' && bytes.length > 0) {
    throw codingError('the Content-Encoding of the answer is not known');
  }
  const decoded = await decode?.(bytes, { maxOutputLength: maxBytes }).catch((error) => {
    if (error.code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes);
    throw codingError('the body is not what its Content-Encoding says');
  });
  return new TextDecoder().decode(decoded ?? bytes);
}

function codingError(message: string): Error {
  return Object.assign(new Error(message), { code: 'ERR_HTTP_CODING' });
}

function tooLarge(maxBytes: number): Error {
  return Object.assign(new Error(`sent more than ${maxBytes} bytes`), {
    code: 'ERR_HTTP_TOO_LARGE',
  });
}

/** Options of Node's global agents. Those can use a proxy for every address (`NODE_USE_ENV_PROXY`). */
const DIRECT = {
  keepAlive: true,
  scheduling: 'lifo',
  timeout: 5000,
  // Node gives up each of several addresses after 250 ms. A connection to a far issuer can take longer.
  autoSelectFamilyAttemptTimeout: 1000,
} as const;
const HTTP_AGENT = new HttpAgent(DIRECT);
const HTTPS_AGENT = new Agent(DIRECT);

/** Agents for `https`: one for direct requests, and one for each proxy, which tunnels them. */
class ProxyAgents {
  readonly #proxy: string | false | undefined;
  readonly #timeout: number;
  readonly #agents = new Map<string, Agent>();

  constructor(proxy: string | false | undefined, timeout: number) {
    this.#proxy = proxy;
    this.#timeout = timeout;
  }

  /** @throws Error `ERR_HTTP_PROXY` when HTTPS_PROXY cannot be used */
  async find(url: URL): Promise<Agent> {
    if (url.protocol !== 'https:' || isLoopback(url) || this.#proxy === false) return HTTPS_AGENT;
    const named = this.#proxy ?? (await proxyOfEnvironment(url));
    if (named === undefined) return HTTPS_AGENT;
    const known = this.#agents.get(named);
    if (known) return known;
    const proxy = parseProxy(named);
    // The value may contain a password.
    if (!proxy) throw proxyError('HTTPS_PROXY must be a URL such as http://proxy.example.com:3128');
    const agent = new TunnelAgent(proxy, this.#timeout);
    this.#agents.set(named, agent);
    return agent;
  }
}

/** Returns the proxy of HTTPS_PROXY, unless NO_PROXY excludes the URL. */
async function proxyOfEnvironment(url: URL): Promise<string | undefined> {
  const { https_proxy, HTTPS_PROXY } = process.env;
  const value = (https_proxy || HTTPS_PROXY)?.trim();
  if (!value) return undefined;
  const { getProxyForUrl } = await import('proxy-from-env');
  if (getProxyForUrl(url.href) === '') return undefined;
  // Without a scheme it is an http proxy, as for curl.
  return value.includes('://') ? value : `http://${value}`;
}

// An unexpected 101 (RFC 9110 §15.2.2) ends the exchange for Node without response or error: got would
// wait forever, despite its timeouts.
function refuseUpgrade(request: ClientRequest): void {
  request.once('upgrade', (_response, socket) => {
    socket.destroy();
    const error = new Error('the server changes the protocol');
    request.emit('error', Object.assign(error, { code: 'ERR_UNWANTED_UPGRADE' }));
  });
}

function defaultAuthorities(): readonly string[] {
  // Node 22.15 and newer; it includes NODE_EXTRA_CA_CERTS, which the bundled list lacks.
  const { getCACertificates } = tls as { getCACertificates?: (type: 'default') => string[] };
  return getCACertificates?.('default') ?? tls.rootCertificates;
}

function checkOptions(options: HttpClientOptions): void {
  const { timeout, maxBodyBytes, proxy, ca, ...unknown } = options;
  const faults = unknownOptions(unknown);
  for (const [name, value] of Object.entries({ timeout, maxBodyBytes })) {
    if (value !== undefined && !(typeof value === 'number' && value > 0)) {
      faults.push(`${name} must be a number above 0`);
    }
  }
  if (proxy !== undefined && proxy !== false && !parseProxy(proxy)) {
    faults.push('proxy must be false, or a URL such as http://proxy.example.com:3128');
  }
  const isPem = (text: unknown) => typeof text === 'string' && text.includes('-----BEGIN CERT');
  if (ca !== undefined && ![ca].flat().every(isPem)) faults.push('ca must be PEM certificates');
  if (faults.length > 0) throw new InvalidOptions(faults.join('; '));
}
