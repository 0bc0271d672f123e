/**
 * Parts of the post-login `api` that Auth0 has and this server has not ("Actions Triggers:
 * post-login, API object").
 */
const POST_LOGIN = 'groups multifactor prompt refreshToken roles samlResponse session'.split(' ');

const CREDENTIALS_EXCHANGE = ['transaction'];

/** The parts of a trigger's `api` that are missing here: every method says so when it is called. */
export function unavailableMethods(trigger: 'post-login' | 'credentials-exchange'): object {
  const parts = trigger === 'post-login' ? POST_LOGIN : CREDENTIALS_EXCHANGE;
  return Object.fromEntries(parts.map((part) => [part, withUnavailable(part, {})]));
}

/** A part of the `api` with these methods; every other says that it is missing here. */
export function withUnavailable<M extends Readonly<Record<string, unknown>>>(
  part: string,
  methods: M,
): M {
  return new Proxy(methods, {
    get: (target, method) => {
      if (typeof method === 'symbol') return undefined;
      if (Object.hasOwn(target, method)) return target[method];
      return () => {
        throw new Error(`api.${part}.${method} is not available locally`);
      };
    },
  });
}
