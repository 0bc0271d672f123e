import type { StateStore } from '../state/file.ts';

/** Whose consent to what: remembered until revoked, as at Auth0, per user, application, API and organization. */
export interface ConsentKey {
  readonly userId: string;
  readonly clientId: string;
  /** The API's resource; empty without one. */
  readonly resource: string;
  readonly organization?: string | undefined;
}

export interface Consents {
  recall(key: ConsentKey): ReadonlySet<string>;
  remember(key: ConsentKey, scopes: readonly string[]): void;
}

const KIND = 'Consent';

export function createConsents(store: StateStore): Consents {
  const idOf = ({ userId, clientId, resource, organization }: ConsentKey): string =>
    JSON.stringify([userId, clientId, resource, ...(organization ? [organization] : [])]);
  const recall = (key: ConsentKey): ReadonlySet<string> =>
    new Set((store.read(KIND, idOf(key))?.content.scopes ?? []) as string[]);
  return {
    recall,
    remember(key, scopes) {
      store.write(KIND, idOf(key), { scopes: [...new Set([...recall(key), ...scopes])] });
    },
  };
}
