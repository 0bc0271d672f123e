import { createHttpClient } from '@koa-oauth/issuer';
import { ApiClient } from './api/api.ts';
import { ClientContext } from './client-context.ts';
import { StepUp } from './login/step-up.ts';
import type { CheckedOptions } from './options/options.ts';
import { AccessTokens } from './tokens/access-token.ts';

/** All parts of one `auth()`. */
export class Client extends ClientContext {
  readonly accessTokens = new AccessTokens(this);
  readonly stepUp = new StepUp(this.options);
  /** Undefined without the option `api`. */
  readonly api = createApiClient(this.options);
}

function createApiClient({ api, http, now }: CheckedOptions): ApiClient | undefined {
  if (!api) return undefined;
  const { baseURL, timeout, maxResponseSize: maxBodyBytes } = api;
  return new ApiClient({
    baseURL,
    http: createHttpClient({ timeout, maxBodyBytes, ...http }),
    now,
  });
}
