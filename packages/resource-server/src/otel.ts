import {
  type InstrumentationOptions,
  instrumentIssuer,
  listenTo,
  Recorder,
} from '@koa-oauth/issuer/otel';
import { AUTH_CHANNEL, type AuthEvent } from './events.ts';

/**
 * Records what `auth` does with the global providers of `@opentelemetry/api`: each verification as a span
 * and a duration, refused requests, fetches of the issuer's keys. The README lists all. No attribute has a
 * claim, a client id, a path or a part of a token. Call it once, after the providers were registered.
 *
 * @returns the function that ends it
 * @example
 * import { instrumentResourceServer } from '@koa-oauth/resource-server/otel';
 *
 * sdk.start();
 * instrumentResourceServer();
 */
export function instrumentResourceServer(options: InstrumentationOptions = {}): () => void {
  const recorder = new Recorder('@koa-oauth/resource-server');
  const recordVerification = recorder.operation(
    'koa_oauth.token_verification',
    'Duration of the verification of an access token',
  );
  const countRefusal = recorder.counter(
    'koa_oauth.refused_requests',
    '{request}',
    'Requests that were refused, by reason',
  );
  const stopIssuer = instrumentIssuer(options);
  const stopAuth = listenTo<AuthEvent>(AUTH_CHANNEL, (event) => {
    const { durationMs } = event;
    if (event.type === 'verified') {
      const attributes = { 'koa_oauth.token.cached': event.cached };
      if (durationMs !== undefined) recordVerification({ durationMs, attributes });
      return;
    }
    const { reason } = event;
    countRefusal({ 'error.type': reason });
    if (durationMs === undefined) return;
    recordVerification({ durationMs, errorType: reason, isFault: reason === 'unavailable' });
  });
  return () => {
    stopAuth();
    stopIssuer();
  };
}
