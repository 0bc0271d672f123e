import type { AdapterPayload, ResponseType } from 'oidc-provider';
import type { Application } from './tenant.ts';

/** A loopback address that leaves the port open (RFC 8252 §7.3). */
const PORTLESS_LOOPBACK = /^http:\/\/(?:127\.0\.0\.1|\[::1\])(?:\/|$)/;

/** An application of the tenant as client metadata (OpenID Connect Dynamic Registration §2). */
export function toClientMetadata(application: Application): AdapterPayload {
  const responseTypes: ResponseType[] = application.grant_types.includes('authorization_code')
    ? ['code']
    : [];
  return {
    client_id: application.client_id,
    client_name: application.name,
    ...(application.client_secret && { client_secret: application.client_secret }),
    // The engine compares the port of a loopback callback for web applications only.
    application_type: hasVariablePort(application) ? 'native' : 'web',
    redirect_uris: application.callbacks,
    post_logout_redirect_uris: application.allowed_logout_urls,
    response_types: responseTypes,
    grant_types: application.grant_types,
    token_endpoint_auth_method: application.token_endpoint_auth_method ?? 'client_secret_post',
  };
}

function hasVariablePort(application: Application): boolean {
  return (
    application.callbacks.length > 0 &&
    application.callbacks.every((callback) => PORTLESS_LOOPBACK.test(callback))
  );
}
