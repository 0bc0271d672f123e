import type { Adapter } from 'oidc-provider';

/**
 * Keeps at most so many of the records that this process wrote. For one more the oldest goes of
 * whoever has the most: so nobody pushes out those of others.
 *
 * @param ownerOf tells who writes now.
 */
export function boundedAdapter(adapter: Adapter, most: number, ownerOf: () => string): Adapter {
  const owners = new Map<string, string>();
  const idsOf = new Map<string, Set<string>>();
  const forget = (id: string): void => {
    const owner = owners.get(id) ?? '';
    const ids = idsOf.get(owner);
    ids?.delete(id);
    if (ids?.size === 0) idsOf.delete(owner);
    owners.delete(id);
  };
  const oldestOfMost = (): string | undefined => {
    let largest = new Set<string>();
    for (const ids of idsOf.values()) if (ids.size > largest.size) largest = ids;
    const [oldest] = largest;
    return oldest;
  };
  return {
    ...adapter,
    async upsert(id, payload, lifetime) {
      if (!owners.has(id)) {
        const owner = ownerOf();
        owners.set(id, owner);
        idsOf.set(owner, (idsOf.get(owner) ?? new Set()).add(id));
      }
      const oldest = owners.size > most ? oldestOfMost() : undefined;
      if (oldest !== undefined) {
        forget(oldest);
        await adapter.destroy(oldest);
      }
      await adapter.upsert(id, payload, lifetime);
    },
    async destroy(id) {
      forget(id);
      await adapter.destroy(id);
    },
  };
}
