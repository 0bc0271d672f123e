import type { AdapterPayload } from 'oidc-provider';
import type { StateStore } from './state-store.ts';

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

/** Ends, in epoch seconds, of a user's families with one application, by grant, the oldest first. */
type Ends = Record<string, number>;

const FAMILY = 'RefreshTokenFamily';
const OWNER = 'RefreshTokenOwner';

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
  const endsOf = (owner: string): Ends => {
    const ends = Object.entries((store.read(OWNER, owner)?.content ?? {}) as Ends);
    return Object.fromEntries(ends.filter(([, end]) => end > now()));
  };
  const writeEnds = (owner: string, ends: Ends): void => {
    const last = Math.max(...Object.values(ends));
    if (last > now()) store.write(OWNER, owner, ends, last - now());
    else store.delete(OWNER, owner);
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
      store.write(FAMILY, grantId, kept, lifetime);

      const owner = ownerOf(kept);
      const ends = { ...endsOf(owner), [grantId]: now() + lifetime };
      const ended = Object.keys(ends).slice(0, -MOST_ACTIVE);
      for (const grant of ended) delete ends[grant];
      writeEnds(owner, ends);
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
    end(grantId) {
      const family = familyOf(grantId);
      store.delete(FAMILY, grantId);
      if (family === undefined) return;
      const { [grantId]: _, ...ends } = endsOf(ownerOf(family));
      writeEnds(ownerOf(family), ends);
    },
  };
}

function ownerOf({ clientId, accountId }: Family): string {
  return JSON.stringify([clientId, accountId]);
}
