import type { AdapterPayload } from 'oidc-provider';
import type { StateStore } from '../state/file.ts';

/** What the refresh tokens of each login have in common. */
export interface RefreshTokenFamilies {
  /** How often the family has rotated. */
  latestOf(grantId: string): number;
  /**
   * Notes a token that was issued or put off.
   *
   * @param lifetime seconds.
   * @returns the tokens that can never be good again, and the logins that have to end.
   */
  note(id: string, token: AdapterPayload, lifetime: number): { spent: string[]; ended: string[] };
  /** A spent token with all that is looked at before its reuse is seen; undefined: its family is gone. */
  restore(id: string, spent: AdapterPayload): AdapterPayload | undefined;
  end(grantId: string): void;
}

interface Family {
  readonly latest: number;
  /** Ids and rotations of the tokens whose records are whole. */
  readonly whole: readonly (readonly [string, number])[];
  readonly clientId?: string | undefined;
  readonly accountId?: string | undefined;
  readonly scope?: string | undefined;
}

const FAMILY = 'RefreshTokenFamily';

/** Auth0's limit of active refresh tokens for one user and application. */
export const MOST_ACTIVE = 200;

/** A leeway may be used for more branches than anybody needs: further ones stay whole. */
const MOST_WHOLE = 100;

/** @param now epoch seconds. */
export function createRefreshTokenFamilies(
  store: StateStore,
  now: () => number,
): RefreshTokenFamilies {
  const familyOf = (grantId: string): Family | undefined => {
    const content = store.read(FAMILY, grantId)?.content;
    return content && ({ whole: [], ...content } as unknown as Family);
  };
  /** Makes room for one more family. @returns the logins that have to end. */
  const makeRoom = (owner: string): string[] => {
    const grants = store.idsByGrantId(FAMILY, owner);
    const ended = grants.slice(0, Math.max(0, grants.length - MOST_ACTIVE + 1));
    for (const grant of ended) store.delete(FAMILY, grant);
    return ended;
  };

  return {
    latestOf: (grantId) => familyOf(grantId)?.latest ?? 0,
    note(id, { grantId = '', clientId, accountId, scope, rotations }, lifetime) {
      const family = familyOf(grantId);
      const rotation = Number(rotations ?? 0);
      const latest = Math.max(family?.latest ?? 0, rotation);
      const whole = [...(family?.whole ?? [])];
      const isNew = !whole.some(([known]) => known === id);
      if (isNew && whole.length < MOST_WHOLE) whole.push([id, rotation]);
      // Not even a leeway goes further back than the previous token.
      const isSpent = ([, of]: readonly [string, number]): boolean => latest - of > 1;
      const kept: Family = {
        latest,
        whole: whole.filter((one) => !isSpent(one)),
        clientId,
        accountId,
        scope,
      };
      const owner = ownerOf(kept);
      const ended = family === undefined ? makeRoom(owner) : [];
      store.write(FAMILY, grantId, kept, lifetime, { grantId: owner });
      return { spent: whole.filter(isSpent).map(([one]) => one), ended };
    },
    restore(id, { grantId = '', jkt, consumed = now() }) {
      const family = familyOf(grantId);
      if (family === undefined) return undefined;
      const { clientId, accountId, scope, latest } = family;
      return {
        kind: 'RefreshToken',
        jti: id,
        grantId,
        jkt,
        clientId,
        accountId,
        scope,
        // Further behind than a leeway goes.
        rotations: latest - 2,
        consumed,
      };
    },
    end: (grantId) => store.delete(FAMILY, grantId),
  };
}

/** Families are found by it, where other records are found by their grant. */
function ownerOf({ clientId, accountId }: Family): string {
  return JSON.stringify([clientId, accountId]);
}
