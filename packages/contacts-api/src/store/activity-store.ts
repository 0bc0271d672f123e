import type { Kysely } from 'kysely';
import type { Organisation } from '../caller.ts';
import type { Activity } from '../contact.ts';
import type { Page, Position } from './contact-store.ts';
import { storeCall } from './database.ts';
import type { Tables } from './schema.ts';

/** What was done to an organisation's contacts. `ContactStore` writes it, with each change. */
export class ActivityStore {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  /** The newest first. */
  async list(
    organisation: Organisation,
    { limit, after }: { limit: number; after?: Position | undefined },
  ): Promise<Page<Activity>> {
    let query = this.#database
      .selectFrom('activity')
      .select(['id', 'at', 'subject', 'client_id', 'action', 'contact_id'])
      .where('organisation', '=', organisation);
    if (after) {
      query = query.where(({ eb, refTuple, tuple }) =>
        eb(refTuple('at', 'id'), '<', tuple(after.value, after.id)),
      );
    }
    const rows = await storeCall(
      query
        .orderBy('at', 'desc')
        .orderBy('id', 'desc')
        .limit(limit + 1)
        .execute(),
    );
    const items = rows.slice(0, limit);
    const last = items.at(-1);
    return {
      items,
      next: rows.length > limit && last ? { value: last.at, id: last.id } : undefined,
    };
  }
}
