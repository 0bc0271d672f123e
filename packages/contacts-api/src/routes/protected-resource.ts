import {
  PROTECTED_RESOURCE_METADATA_PATH,
  type ProtectedResource,
  protectedResourceMetadata,
} from '@koa-oauth/resource-server';
import { z } from 'zod';
import { type Operation, operation } from '../operation.ts';

/** Where clients learn whose tokens to bring, and which scopes there are (RFC 9728). */
export function protectedResourceOperation(resource: ProtectedResource): Operation {
  const answer = protectedResourceMetadata(resource);
  return operation({
    id: 'getProtectedResourceMetadata',
    method: 'get',
    path: PROTECTED_RESOURCE_METADATA_PATH,
    summary: 'Whose tokens to bring (RFC 9728)',
    needs: undefined,
    answers: {
      200: {
        description: 'the protected resource’s metadata',
        schema: z.looseObject({
          resource: z.string(),
          authorization_servers: z.array(z.string()),
          scopes_supported: z.array(z.string()),
        }),
      },
    },
    handle: (ctx) => answer(ctx as unknown as Parameters<typeof answer>[0], async () => {}),
  });
}
