import { StoreUnavailable } from '../errors.ts';

// SQLSTATE classes (PostgreSQL, appendix A): connection, transaction rollback, resources, operator
// intervention, system; 25006 is a server that was made a replica. E… is of the system or the resolver.
const PASSING =
  /^(?:08|40|53|57|58)...$|^25006$|^SQLITE_(?:BUSY|LOCKED|IOERR|FULL|CANTOPEN|READONLY)|^E(?!RR_)[A-Z_]+$/;

/** @throws StoreUnavailable when the database is away or can't work; any other error as it is */
export async function reach<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    // What was thrown inside a transaction by other code than the database's passes through it.
    if (typeof (error as { status?: unknown }).status === 'number') throw error;
    const { code } = error as { code?: unknown };
    // pg gives no code to a connection that timed out or broke off.
    const broken = code === undefined && (error as Error).name === 'Error';
    throw broken || PASSING.test(String(code)) ? new StoreUnavailable(error) : error;
  }
}
