import { types } from 'node:util';

/** What the log may hold of an error. */
interface LoggedError {
  readonly type: string;
  readonly message?: string;
  readonly code?: string | undefined;
  readonly stack?: string | undefined;
  readonly cause?: string | undefined;
}

/**
 * For pino's `err`, whose own serializer copies every field of an error: that of a broken request
 * has all its bytes, cookies and secrets included.
 */
export function describeError(error: unknown): LoggedError {
  if (!types.isNativeError(error)) return { type: typeof error };
  const { code } = error as { code?: unknown };
  return {
    type: error.name,
    message: error.message.slice(0, 500),
    code: typeof code === 'string' ? code : undefined,
    stack: error.stack?.slice(0, 4000),
    cause: describeCause(error.cause),
  };
}

function describeCause(cause: unknown): string | undefined {
  if (!types.isNativeError(cause)) return undefined;
  return `${cause.name}: ${cause.message}`.slice(0, 500);
}
