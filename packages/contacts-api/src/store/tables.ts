import type { Action } from '../activity.ts';

/** A row of the table `contacts`. Absent fields are null; times are ISO 8601 text on both engines. */
export interface ContactRow {
  id: string;
  organisation: string;
  name: string;
  email: string;
  phone: string | null;
  company: string | null;
  notes: string | null;
  /** What is searched, and what a sort by name goes by; see `search-text.ts`. */
  search_text: string;
  version: number;
  created_at: string;
  updated_at: string;
}

/** A row of the table `activity`: a change, written in the same transaction. */
export interface ActivityRow {
  id: string;
  organisation: string;
  at: string;
  subject: string;
  client_id: string | null;
  action: Action;
  contact_id: string;
}

export interface Tables {
  contacts: ContactRow;
  activity: ActivityRow;
}
