import type { EventEmitter } from 'node:events';
import type { Client, KoaContextWithOIDC, errors as OidcErrors, Provider } from 'oidc-provider';
import type { Logger } from 'pino';
import { ROUTES } from '../endpoints.ts';
import { errors } from '../oidc-provider.ts';
import { exchangeType, knownGrantType, type LogType, loginType, refusalType } from './log-types.ts';

/** One line for each thing that happens, with Auth0's log event `type`; codes, tokens, secrets and passwords never get here. */
export function logTransactions(provider: Provider, log: Logger): void {
  // With the events that the engine's types leave out.
  const application: EventEmitter = provider;
  provider.on('authorization.success', (ctx) => {
    const { client, session } = ctx.oidc;
    const type = loginType(ctx);
    log.info({ type, client: client?.clientId, user: session?.accountId }, 'code issued');
  });
  provider.on('authorization.error', ({ oidc }, error) => {
    const reason = error.error_detail ?? error.error_description;
    const type = refusalType(ROUTES.authorization, reason ?? '', { oidc });
    log.info(
      { type, client: oidc.client?.clientId, error: error.error, reason },
      'authorization refused',
    );
  });
  provider.on('grant.success', (ctx) => {
    const { oidc } = ctx;
    const type = exchangeType(ctx);
    const token = oidc.entities.AccessToken ?? oidc.entities.ClientCredentials;
    const user = oidc.account?.accountId;
    const grant = oidc.params?.grant_type;
    const client = oidc.client?.clientId;
    log.info({ type, client, user, grant, scope: token?.scope }, 'tokens issued');
  });
  provider.on('pushed_authorization_request.error', ({ oidc }, error) => {
    const reason = error.error_detail ?? error.error_description;
    const type = refusalType(ROUTES.pushed_authorization_request, reason ?? '', { oidc });
    log.info(
      { type, client: oidc.client?.clientId, error: error.error, reason },
      'pushed authorization request refused',
    );
  });
  provider.on('end_session.success', ({ oidc }) => {
    log.info({ type: 'slo', client: oidc.client?.clientId }, 'logged out');
  });
  provider.on('end_session.error', ({ oidc }, error) => {
    const reason = error.error_detail ?? error.error_description;
    log.info(
      { type: 'flo', client: oidc.client?.clientId, error: error.error, reason },
      'logout refused',
    );
  });
  application.on('backchannel.success', (_ctx, client: Client, user: string) => {
    const type: LogType = 'oidc_backchannel_logout_succeeded';
    log.info({ type, client: client.clientId, user }, 'application told of the logout');
  });
  application.on('backchannel.error', (_ctx, err: Error, client: Client, user: string) => {
    const type: LogType = 'oidc_backchannel_logout_failed';
    log.warn({ type, client: client.clientId, user, err }, 'application not told of the logout');
  });
  const logRefusal = ({ oidc }: KoaContextWithOIDC, error: OidcErrors.OIDCProviderError): void => {
    const reason = error.error_detail ?? error.error_description;
    const grant = knownGrantType(oidc);
    const type = refusalType(ROUTES.token, reason ?? '', { oidc });
    log.info(
      { type, client: oidc.client?.clientId, grant, error: error.error, reason },
      'tokens refused',
    );
  };
  provider.on('grant.error', logRefusal);
  // Without a listener Koa writes to the console.
  application.on('error', (error: Error) => {
    log.error({ err: error }, 'unexpected error');
  });
  provider.on('server_error', (ctx, error) => {
    // An Action may refuse with this code too.
    if (error instanceof errors.OIDCProviderError && error.expose) logRefusal(ctx, error);
    else log.error({ err: error, path: ctx.path }, 'unexpected error');
  });
}
