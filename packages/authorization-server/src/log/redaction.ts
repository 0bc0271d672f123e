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
  ].filter((secret) => secret !== undefined && !isPublic(tenant, secret));
  return (text, ctx) => {
    if (typeof text !== 'string' || text === '') return undefined;
    let shown = text;
    for (const secret of [...tenantSecrets, ...requestSecrets(ctx)]) {
      if (secret) shown = shown.replaceAll(secret, HIDDEN);
    }
    shown = shown.replace(/[\w~+/=-]+/g, (run) => (isTokenLike(run) ? HIDDEN : run));
    return shown.length > MAX_TEXT_LENGTH ? `${shown.slice(0, MAX_TEXT_LENGTH)}…` : shown;
  };
}

/** Checks for a namespace of claims, which Actions get as a secret although it is public. */
function isPublic(tenant: Tenant, value: string): boolean {
  if (tenant.resourceServers.some(({ identifier }) => identifier === value)) return true;
  if (!URL.canParse(value)) return false;
  const { origin } = new URL(value);
  return value === origin || value === `${origin}/`;
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
