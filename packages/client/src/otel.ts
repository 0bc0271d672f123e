import {
  errorTypeOf,
  type InstrumentationOptions,
  instrumentIssuer,
  listenTo,
  type Operation,
  Recorder,
} from '@koa-oauth/issuer/otel';
import { isCallersFault } from './errors.ts';
import { CLIENT_CHANNEL, type ClientEvent } from './events.ts';

/**
 * Records what `auth` does with the global providers of `@opentelemetry/api`: sign-ins and refreshes as spans
 * and durations, ended sessions, failures, and requests to the issuer and the API, which also get a
 * `traceparent`. The README lists all. No attribute has a claim, a path or a part of a token. Call it once,
 * after the providers were registered.
 *
 * @returns the function that ends it
 * @example
 * import { instrumentClient } from '@koa-oauth/client/otel';
 *
 * sdk.start();
 * instrumentClient();
 */
export function instrumentClient(options: InstrumentationOptions = {}): () => void {
  const recorder = new Recorder('@koa-oauth/client');
  const recordSignIn = recorder.operation(
    'koa_oauth.sign_in',
    'Duration of the callback of a sign-in, or of the request that failed to begin one',
  );
  const recordRefresh = recorder.operation(
    'koa_oauth.token_refresh',
    'Duration of the refresh of an access token, until it is stored',
  );
  const countEnded = recorder.counter(
    'koa_oauth.ended_sessions',
    '{session}',
    'Sessions that ended before their time',
  );
  const countFailure = recorder.counter(
    'koa_oauth.failures',
    '{failure}',
    'Failures that no other metric counts: warnings, and errors that auth() passed on',
  );
  const stopIssuer = instrumentIssuer(options);
  const stopClient = listenTo<ClientEvent>(CLIENT_CHANNEL, (event) => {
    switch (event.type) {
      case 'signed_in':
        return recordSignIn(event);
      case 'sign_in_refused':
        return recordSignIn(failed(event));
      case 'token_refreshed':
        return recordRefresh(event);
      case 'token_refresh_failed':
        return recordRefresh(failed(event));
      case 'session_ended':
        return countEnded({ 'koa_oauth.session.end_reason': event.reason }, event.sessions);
      case 'warning':
      case 'request_failed':
        return countFailure({
          'koa_oauth.failure.type': event.type,
          'error.type': errorTypeOf(event.code),
        });
    }
  });
  return () => {
    stopClient();
    stopIssuer();
  };
}

function failed({ durationMs, code }: Operation & { code: string | undefined }): Operation {
  return { durationMs, errorType: errorTypeOf(code), isFault: !isCallersFault(code) };
}
