import { tracingChannel } from 'node:diagnostics_channel';

/** One HTTP exchange, at its start and at its end. It has no path, query, header or body of the request. */
export interface HttpExchange {
  readonly method: string;
  /** Scheme, host and port of the other server. */
  readonly origin: string;
  /** Headers that a subscriber of the start adds to the request, such as `traceparent`. */
  readonly headers: Record<string, string>;
  /** Status of the answer. Undefined at the start, and without an answer. */
  status?: number;
  /** Code of the error. Undefined at the start, and with an answer. */
  code?: string;
}

/**
 * Name of the `tracingChannel` of `node:diagnostics_channel` on which each exchange of an `HttpClient` is
 * published as an `HttpExchange`: as `start`, and the same object as `asyncEnd`.
 *
 * @example
 * tracingChannel(HTTP_CHANNEL).asyncEnd.subscribe((exchange) => logger.debug(exchange));
 */
export const HTTP_CHANNEL = 'koa-oauth:http';

const exchanges = tracingChannel<unknown, HttpExchange>(HTTP_CHANNEL);

/** Sends a request, and publishes its start and its end if the channel has subscribers. */
export async function publishExchange<Answer extends { readonly status: number }>(
  method = 'GET',
  { origin }: URL,
  send: (added?: HttpExchange['headers']) => Promise<Answer>,
): Promise<Answer> {
  if (!exchanges.hasSubscribers) return send();
  const exchange: HttpExchange = { method, origin, headers: {} };
  exchanges.start.publish(exchange);
  try {
    const answer = await send(exchange.headers);
    exchange.status = answer.status;
    return answer;
  } catch (error) {
    exchange.code = (error as { code: string }).code;
    throw error;
  } finally {
    exchanges.asyncEnd.publish(exchange);
  }
}
