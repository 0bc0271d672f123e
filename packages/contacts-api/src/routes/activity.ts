import { Activity } from '../activity.ts';
import { type Operation, operation } from '../operation.ts';
import { organisationOf } from '../organisation.ts';
import { PageQuery, pageOf, readCursor, writePage } from '../page.ts';
import type { ActivityStore } from '../store/activity-store.ts';

/** `GET /activity`: who changed which contact, and when; for administrators. */
export function activityOperations(store: ActivityStore): Operation[] {
  return [
    operation({
      id: 'listActivity',
      method: 'get',
      path: '/activity',
      summary: 'Who changed what, the newest first',
      needs: { scope: 'read:activity', role: 'admin' },
      query: PageQuery,
      answers: {
        200: {
          description: 'a page of changes',
          schema: pageOf(Activity),
          headers: { Link: 'the next page, `rel="next"`' },
        },
      },
      async handle(ctx, { query: { limit, cursor } }) {
        const after = readCursor('-at', cursor);
        const page = await store.list(organisationOf(ctx.state.auth), { limit, after });
        const { body, link } = writePage(page, '-at', ctx);
        if (link) ctx.set('Link', link);
        ctx.body = body;
      },
    }),
  ];
}
