import { request as httpRequest } from 'node:http';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import { isIP, isIPv6 } from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { parseURL } from './issuer-identifier.ts';

/** A proxy, by the parts of its URL. */
export interface Proxy {
  readonly isHTTPS: boolean;
  readonly host: string;
  /** Undefined for the default port of the scheme. */
  readonly port: string | undefined;
  /** Value of `Proxy-Authorization`. */
  readonly authorization: string | undefined;
}

/** Reads the URL of a proxy. @returns undefined for any other value */
export function parseProxy(value: unknown): Proxy | undefined {
  const url = parseURL(value);
  if (!url || !/^https?:\/\/./i.test(String(value))) return undefined;
  const { protocol, hostname, port, username, password } = url;
  try {
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return {
      isHTTPS: protocol === 'https:',
      host: withoutBrackets(hostname),
      port: port || undefined,
      authorization: credentials === ':' ? undefined : `Basic ${toBase64(credentials)}`,
    };
  } catch {
    // A "%" that encodes nothing.
    return undefined;
  }
}

/**
 * Agent for `https` that opens its connections through a proxy, with CONNECT (RFC 9110 §9.3.6). A proxy that
 * fails, however it does, ends only the request.
 */
export class TunnelAgent extends Agent {
  readonly #proxy: Proxy;
  readonly #timeout: number;

  /** @param timeout milliseconds that the proxy has for each step until the tunnel is open */
  constructor(proxy: Proxy, timeout: number) {
    super({ keepAlive: true });
    this.#proxy = proxy;
    this.#timeout = timeout;
  }

  override createConnection(
    options: RequestOptions,
    callback: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const done = callback as (error: Error | null, stream?: Duplex) => void;
    const { isHTTPS, host, port, authorization } = this.#proxy;
    const name = withoutBrackets(String(options.host));
    const target = `${isIPv6(name) ? `[${name}]` : name}:${options.port}`;
    const request = (isHTTPS ? httpsRequest : httpRequest)({
      method: 'CONNECT',
      path: target,
      host,
      port,
      // Node would take the name of the target, from the header.
      servername: isIP(host) ? '' : host,
      headers: {
        host: target,
        connection: 'keep-alive',
        ...(authorization && { 'proxy-authorization': authorization }),
      },
      agent: false,
      timeout: this.#timeout,
      ca: options.ca,
      // Set here, so that NODE_TLS_REJECT_UNAUTHORIZED cannot switch it off.
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
    });
    request.once('timeout', () => request.destroy(proxyError('the proxy does not answer')));
    request.once('error', done);
    request.once('connect', ({ statusCode }, socket) => {
      // The connection above it reports errors too. Without a listener they would end the process.
      socket.on('error', () => {});
      socket.setTimeout(0);
      // Its answer is none of the server, whose certificate was not checked.
      if (statusCode === 200) return done(null, tls.connect({ ...options, socket } as object));
      socket.destroy();
      done(proxyError(`the proxy answered ${statusCode}`));
    });
    request.end();
  }
}

/** Makes an error with the code `ERR_HTTP_PROXY`. */
export function proxyError(message: string): Error {
  return Object.assign(new Error(message), { code: 'ERR_HTTP_PROXY' });
}

function withoutBrackets(host: string): string {
  return host.replace(/^\[|\]$/g, '');
}

function toBase64(text: string): string {
  return Buffer.from(text).toString('base64');
}
