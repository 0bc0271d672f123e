// jwks-rsa requires jose, an ES module. jest can do so only after it was evaluated.
import 'jose';
import { AsyncLocalStorage } from 'node:async_hooks';

type Storages = Set<AsyncLocalStorage<unknown>>;
const ENTERED = Symbol.for('koa-oauth.entered-storages');
const shared = AsyncLocalStorage as typeof AsyncLocalStorage & { [ENTERED]?: Storages };

// A storage that was entered once slows down every promise of the process (Node 20 and 22). Each test
// file leaves some behind, one of them from jest, and a worker runs a hundred files.
shared[ENTERED] ??= recordEntered();
for (const storage of shared[ENTERED]) storage.disable();
shared[ENTERED].clear();

function recordEntered(): Storages {
  const entered: Storages = new Set();
  for (const method of ['run', 'enterWith'] as const) {
    const original = AsyncLocalStorage.prototype[method] as (...args: unknown[]) => unknown;
    Object.defineProperty(AsyncLocalStorage.prototype, method, {
      value(this: AsyncLocalStorage<unknown>, ...args: unknown[]) {
        entered.add(this);
        return original.apply(this, args);
      },
    });
  }
  return entered;
}
