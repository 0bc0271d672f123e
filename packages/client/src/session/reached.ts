import { OidcError } from '../errors.ts';

/** @throws OidcError `ERR_SESSION_STORE`, a 503, when the store could not do its work */
export async function reached<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const detail = `the session store failed${codeOf(cause)}`;
    throw new OidcError('ERR_SESSION_STORE', { detail, cause });
  }
}

// Its message may have more in it than a log should.
function codeOf(cause: unknown): string {
  const { code } = (cause ?? {}) as { code?: unknown };
  return typeof code === 'string' && /^[A-Z][A-Z_]{0,40}$/.test(code) ? `: ${code}` : '';
}
