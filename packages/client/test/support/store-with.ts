import type { SessionStore } from '../../src/session/session-store.ts';

/** A store whose methods of these names are replaced; the others go to the store itself. */
export function storeWith(
  store: SessionStore,
  methods: Partial<Record<keyof SessionStore, unknown>>,
): SessionStore {
  return new Proxy(store, {
    get(_store, name) {
      const owner = name in methods ? methods : store;
      const value: unknown = Reflect.get(owner, name);
      return typeof value === 'function' ? value.bind(owner) : value;
    },
  });
}
