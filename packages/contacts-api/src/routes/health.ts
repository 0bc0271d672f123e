import { z } from 'zod';
import { type Operation, operation } from '../operation.ts';

const Status = z.object({ status: z.literal('ok') });

/**
 * Whether the process runs, and whether it can serve.
 *
 * @param checkReady throws when it can't serve
 */
export function healthOperations(checkReady: () => Promise<void>): Operation[] {
  return [
    operation({
      id: 'getHealth',
      method: 'get',
      path: '/healthz',
      summary: 'Whether the process runs',
      needs: undefined,
      answers: { 200: { description: 'it runs', schema: Status } },
      handle(ctx) {
        ctx.body = { status: 'ok' };
      },
    }),
    operation({
      id: 'getReadiness',
      method: 'get',
      path: '/readyz',
      summary: 'Whether it can serve: the database answers, and the issuer’s keys are held',
      needs: undefined,
      answers: {
        200: { description: 'it can', schema: Status },
        503: { description: 'it cannot, or is about to stop' },
      },
      async handle(ctx) {
        await checkReady();
        ctx.body = { status: 'ok' };
      },
    }),
  ];
}
