import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Tenant } from '../tenant/tenant.ts';

/** Hides secrets of this request and of the tenant in a text; returns '' for anything else. */
export type Redact = (text: unknown, ctx?: Partial<Pick<KoaContextWithOIDC, 'oidc'>>) => string;

const HIDDEN = '[hidden]';
const MAX_LENGTH = 300;

/** Parameters of a request that are no secret. */
const PUBLIC = [
  'audience',
  'client_id',
  'client_assertion_type',
  'code_challenge_method',
  'connection',
  'grant_type',
  'max_age',
  'organization',
  'prompt',
  'redirect_uri',
  'resource',
  'response_mode',
  'response_type',
  'scope',
  'screen_hint',
  'token_type_hint',
];

/** A part of a JWT, or a run of letters as long as a code or an opaque token. */
const isTokenLike = (run: string): boolean => run.includes('eyJ') || /[\w-]{40}/.test(run);

/** Returns the filter of all texts in the record of transactions, which never shows a secret. */
export function createRedaction(tenant: Tenant): Redact {
  const ofTenant = [
    ...tenant.clients.map(({ client_secret }) => client_secret),
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
    if (typeof text !== 'string' || text === '') return '';
    let shown = text;
    for (const secret of [...ofTenant, ...ofRequest(ctx)]) {
      if (secret) shown = shown.replaceAll(secret, HIDDEN);
    }
    shown = shown.replace(/[\w~+/=-]+/g, (run) => (isTokenLike(run) ? HIDDEN : run));
    return shown.length > MAX_LENGTH ? `${shown.slice(0, MAX_LENGTH)}…` : shown;
  };
}

/** Actions are given the namespace of their claims as a secret, which it is not. */
function isPublic(tenant: Tenant, value: string): boolean {
  if (tenant.resourceServers.some(({ identifier }) => identifier === value)) return true;
  if (!URL.canParse(value)) return false;
  const { origin } = new URL(value);
  return value === origin || value === `${origin}/`;
}

function ofRequest(ctx: Partial<Pick<KoaContextWithOIDC, 'oidc'>> | undefined): string[] {
  const fields = { ...ctx?.oidc?.params, ...ctx?.oidc?.body };
  return Object.entries(fields).flatMap(([name, value]) =>
    // A short one, such as the state "1", would tear every text apart, and is no secret worth it.
    typeof value === 'string' && value.length > 5 && !PUBLIC.includes(name) ? [value] : [],
  );
}
