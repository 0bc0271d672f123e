import { type Auth, AuthError } from '@koa-oauth/resource-server';
import { isIdentifier } from './claims.ts';

/** Who makes a change: the subject of the token, and the client that it was issued to. */
export interface Caller {
  readonly subject: string;
  readonly clientId: string | undefined;
}

/** @throws AuthError `ERR_CLAIM_MISMATCH` (403) when what names them can't be an id */
export function callerOf({ payload }: Pick<Auth, 'payload'>): Caller {
  const { sub: subject, client_id: clientId = payload.azp } = payload;
  for (const id of [subject, clientId]) {
    if (id !== undefined && !isIdentifier(id))
      throw new AuthError('ERR_CLAIM_MISMATCH', {
        message: '"sub" or the client is not a short text',
      });
  }
  return { subject, clientId };
}
