import pg from 'pg';
import type { KeptContact } from './contact-book.ts';
import type { Ledger } from './ledger.ts';

interface Activity {
  readonly contact_id: string;
  readonly action: 'created' | 'updated' | 'deleted';
  readonly times: number;
}

/** Reads all contacts from the database, and checks that the record of changes lists each. */
export async function readKept(url: string, ledger: Ledger): Promise<KeptContact[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows: kept } = await client.query<KeptContact>(
      'select id, organisation as organization, name, notes, version from contacts',
    );
    const { rows: activities } = await client.query<Activity>(
      'select contact_id, action, count(*)::int as times from activity group by 1, 2',
    );
    const timesByAction = new Map(
      activities.map((one) => [`${one.action} ${one.contact_id}`, one.times]),
    );
    const timesOf = (action: Activity['action'], id: string) =>
      timesByAction.get(`${action} ${id}`) ?? 0;
    for (const { id, name, version } of kept) {
      const seen = [timesOf('created', id), timesOf('updated', id), timesOf('deleted', id)];
      if (seen.join() !== [1, version - 1, 0].join()) {
        const example = `${name}, version ${version}: ${seen} created, updated, deleted`;
        ledger.wrong('the record of changes lists every change', example);
      }
    }
    ledger.count('contacts kept', kept.length);
    return kept;
  } finally {
    await client.end();
  }
}
