import type { Auth } from '@koa-oauth/resource-server';

/** Who makes a change: the subject of the token, and the client that it was issued to. */
export interface Caller {
  readonly subject: string;
  readonly clientId: string | undefined;
}

export function callerOf({ payload }: Pick<Auth, 'payload'>): Caller {
  return { subject: payload.sub, clientId: payload.client_id ?? payload.azp };
}
