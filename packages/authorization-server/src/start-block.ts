import type { Control } from './control/control.ts';
import { connectionInId } from './tenant/connections.ts';
import type { Tenant, User } from './tenant/tenant.ts';

/** What someone who starts the server by hand wants to know: where it is, and who can sign in. */
export function startBlock(
  { issuer, control }: { issuer: string; control?: Control | undefined },
  tenant: Tenant,
): string {
  const width = (values: readonly string[]): number =>
    Math.max(...values.map((value) => value.length)) + 2;
  const email = width(tenant.users.map((user) => user.email));
  const password = width(tenant.users.map(shown));
  const lines = [
    tenant.tenant.friendly_name,
    '',
    `  issuer    ${issuer}`,
    `  metadata  ${issuer}.well-known/openid-configuration`,
    ...(control === undefined
      ? []
      : [`  log       ${issuer}log`, `  control   ${control.url}`, `  its token ${control.token}`]),
    '',
    `  ${'user'.padEnd(email)}${'password'.padEnd(password)}roles`,
    ...tenant.users.map(
      (user) =>
        `  ${user.email.padEnd(email)}${shown(user).padEnd(password)}${user.roles.join(', ')}`,
    ),
    '',
    '  For development only. Ctrl-C stops it.',
  ];
  return `\n${lines.join('\n')}\n\n`;
}

function shown({ password, password_hash: hash, user_id }: User): string {
  if (password === undefined && hash === undefined) return `(${connectionInId(user_id)})`;
  return password ?? '(hashed)';
}
