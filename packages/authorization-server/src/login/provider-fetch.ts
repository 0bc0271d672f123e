import type { CustomFetch } from 'openid-client';
import { isConfidentialUrl } from '../http/loopback.ts';
import { ProviderFailure } from './provider-failure.ts';

/** Bytes. */
const MOST = 1_000_000;

/**
 * Asks an identity provider, whose metadata may name any URL and whose answer may have any length.
 * The time limit comes with the request's signal; redirects are not followed.
 *
 * @throws ProviderFailure when it can't be reached, answers 5xx, or answers too much.
 */
export function providerFetch(send: typeof fetch): CustomFetch {
  return async (url, options) => {
    const { origin } = new URL(url);
    if (!isConfidentialUrl(new URL(url))) {
      throw new ProviderFailure(502, `its metadata names ${origin}, which is http on the network`);
    }
    let response: Response;
    let body: Buffer<ArrayBuffer>;
    try {
      response = await send(url, { ...options, redirect: 'manual' } as RequestInit);
      body = await readBody(response);
    } catch (cause) {
      if (cause instanceof ProviderFailure) throw cause;
      throw new ProviderFailure(503, `${origin} can't be reached`, { cause });
    }
    const { status, headers } = response;
    if (status >= 500) throw new ProviderFailure(503, `${origin} answered ${status}`);
    return new Response(body.length === 0 ? null : body, { status, headers });
  };
}

async function readBody(response: Response): Promise<Buffer<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MOST) throw new ProviderFailure(502, `its answer has more than ${MOST} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
