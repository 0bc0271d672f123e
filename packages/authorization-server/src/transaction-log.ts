import type { EventEmitter } from 'node:events';
import type { KoaContextWithOIDC, errors as OidcErrors, Provider } from 'oidc-provider';
import type { Logger } from 'pino';
import { errors } from './engine.ts';

/** One line for each thing that happens; codes, tokens, secrets and passwords never get here. */
export function logTransactions(provider: Provider, log: Logger): void {
  provider.on('authorization.success', ({ oidc }) => {
    log.info({ client: oidc.client?.clientId, user: oidc.session?.accountId }, 'code issued');
  });
  provider.on('authorization.error', ({ oidc }, error) => {
    const reason = error.error_detail ?? error.error_description;
    log.info(
      { client: oidc.client?.clientId, error: error.error, reason },
      'authorization refused',
    );
  });
  provider.on('grant.success', ({ oidc }) => {
    const token = oidc.entities.AccessToken ?? oidc.entities.ClientCredentials;
    const user = oidc.account?.accountId;
    const grant = oidc.params?.grant_type;
    log.info({ client: oidc.client?.clientId, user, grant, scope: token?.scope }, 'tokens issued');
  });
  const logRefusal = ({ oidc }: KoaContextWithOIDC, error: OidcErrors.OIDCProviderError): void => {
    const reason = error.error_detail ?? error.error_description;
    const grant = oidc.params?.grant_type;
    log.info(
      { client: oidc.client?.clientId, grant, error: error.error, reason },
      'tokens refused',
    );
  };
  provider.on('grant.error', logRefusal);
  // Without a listener Koa writes to the console.
  const application: EventEmitter = provider;
  application.on('error', (error: Error) => {
    log.error({ err: error }, 'unexpected error');
  });
  provider.on('server_error', (ctx, error) => {
    // An Action may refuse with this code too.
    if (error instanceof errors.OIDCProviderError && error.expose) logRefusal(ctx, error);
    else log.error({ err: error, path: ctx.path }, 'unexpected error');
  });
}
