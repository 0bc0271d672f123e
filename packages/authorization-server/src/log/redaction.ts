import { parseURL } from '@koa-oauth/service';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Tenant } from '../tenant/tenant.ts';

/** Hides secrets of this request and of the tenant in a text; returns undefined without a text. */
export type Redact = (
  text: unknown,
  ctx?: Partial<Pick<KoaContextWithOIDC, 'oidc'>>,
) => string | undefined;

const HIDDEN = '[hidden]';
const MAX_TEXT_LENGTH = 300;

const PUBLIC_PARAMETERS =
  `audience client_id client_assertion_type code_challenge_method connection grant_type max_age organization
   prompt redirect_uri resource response_mode response_type scope screen_hint token_type_hint`.split(
    /\s+/,
  );

/** Checks for a part of a JWT, or a run of letters as long as a code or an opaque token. */
const isTokenLike = (run: string): boolean => run.includes('eyJ') || /[\w-]{40}/.test(run);

export function createRedaction(tenant: Tenant): Redact {
  const tenantSecrets = [
    ...tenant.clients.map(({ client_secret }) => client_secret),
    ...tenant.resourceServers.map(({ signing_secret }) => signing_secret),
    ...tenant.connections.flatMap(({ options: { client_secret: secret } }) =>
      typeof secret === 'string' ? [secret] : [],
    ),
    ...tenant.users.map(({ password }) => password),
    ...[...tenant.postLogin, ...tenant.credentialsExchange].flatMap(({ secrets }) =>
      Object.values(secrets),
    ),
    ...tenant.loginRules.flatMap(({ configuration }) => Object.values(configuration)),
  ].filter((secret): secret is string => typeof secret === 'string' && !isPublic(tenant, secret));
  const formsOfTenant = secretForms(tenantSecrets);
  return (text, ctx) => {
    if (typeof text !== 'string' || text === '') return undefined;
    const forms = [...formsOfTenant, ...secretForms(requestSecrets(ctx))];
    const hidden = hideSecrets(text, forms);
    const shown = hidden.replace(/[\w~+/=-]+/g, (run) => (isTokenLike(run) ? HIDDEN : run));
    return shown.length > MAX_TEXT_LENGTH ? `${shown.slice(0, MAX_TEXT_LENGTH)}…` : shown;
  };
}

/** Hides secrets, given in all their forms, in a text. */
export function hideSecrets(text: string, forms: readonly string[]): string {
  // The longest first: a secret can be a part of another one.
  const sorted = [...forms].sort((one, other) => other.length - one.length);
  return sorted.reduce((shown, form) => shown.replaceAll(form, HIDDEN), text);
}

/** Returns secrets as a text may have them: as they are, line by line, in JSON or in a URL. */
export function secretForms(secrets: readonly string[]): string[] {
  return secrets.flatMap((secret) => {
    if (secret === '') return [];
    // Hiding a short line, such as a brace, would make every text unreadable.
    const lines = secret.split(/\p{Cc}+/u).filter((line) => line.length > 5);
    return [secret, ...lines].flatMap((text) => {
      // A lone surrogate can't be in a URL.
      const inURL = Buffer.from(text).toString();
      const inQuery = new URLSearchParams({ '': inURL }).toString().slice(1);
      return [text, JSON.stringify(text).slice(1, -1), encodeURIComponent(inURL), inQuery];
    });
  });
}

/** Checks for a namespace of claims, which Actions get as a secret although it is public. */
function isPublic(tenant: Tenant, value: string): boolean {
  if (tenant.resourceServers.some(({ identifier }) => identifier === value)) return true;
  const url = parseURL(value);
  return url !== undefined && [url.origin, `${url.origin}/`].includes(value);
}

function requestSecrets(ctx: Partial<Pick<KoaContextWithOIDC, 'oidc'>> | undefined): string[] {
  const fields = { ...ctx?.oidc?.params, ...ctx?.oidc?.body };
  return Object.entries(fields).flatMap(([name, value]) =>
    // Hiding a short value, such as the state "1", would make every text unreadable.
    typeof value === 'string' && value.length > 5 && !PUBLIC_PARAMETERS.includes(name)
      ? [value]
      : [],
  );
}
