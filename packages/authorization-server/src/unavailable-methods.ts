/**
 * Parts of the post-login `api` that Auth0 has and this server has not ("Actions Triggers:
 * post-login, API object").
 */
const POST_LOGIN = `authentication cache groups multifactor prompt redirect refreshToken roles rules
  samlResponse session transaction user validation`.split(/\s+/);

const CREDENTIALS_EXCHANGE = ['cache', 'transaction'];

/** The parts of a trigger's `api` that are missing here: every method says so when it is called. */
export function unavailableMethods(trigger: 'post-login' | 'credentials-exchange'): object {
  const parts = trigger === 'post-login' ? POST_LOGIN : CREDENTIALS_EXCHANGE;
  return Object.fromEntries(parts.map((part) => [part, unavailable(`api.${part}`)]));
}

function unavailable(part: string): object {
  return new Proxy(
    {},
    {
      get: (_target, method) =>
        typeof method === 'symbol'
          ? undefined
          : () => {
              throw new Error(`${part}.${method} is not available locally`);
            },
    },
  );
}
