import { ApiError, hasCode } from '@koa-oauth/client';
import type { Context } from 'koa';
import { type ContactDraft, type Refusal, refusalOf } from './contacts-api.ts';

/** A change that did not happen, for a page that keeps what was typed. */
export interface FailedWrite {
  readonly draft?: ContactDraft | undefined;
  /** What was wrong with the input. */
  readonly refusal?: Refusal;
  readonly problem?: WriteProblem;
}

export type WriteProblem =
  | { readonly kind: 'scope'; readonly scope: string }
  | { readonly kind: 'unavailable' };

/**
 * Reads an error of the API as something that the page with the form can say, and takes its status,
 * its headers and what the log is to know for this answer.
 *
 * @param scope that the change takes, should the API not say so
 * @throws the error, when it is about something else
 */
export function failedWrite(
  ctx: Context,
  error: unknown,
  { scope, draft }: { scope: string; draft?: ContactDraft },
): FailedWrite {
  const failed = explain(error, scope);
  if (!failed || !(error instanceof ApiError)) throw error;
  ctx.status = error.status;
  ctx.set({ ...error.headers });
  ctx.state.failure = { code: error.code, detail: error.detail };
  return { ...failed, draft };
}

function explain(error: unknown, scope: string): FailedWrite | undefined {
  const refusal = refusalOf(error);
  if (refusal) return { refusal };
  if (hasCode(error, 'ERR_INSUFFICIENT_SCOPE')) {
    const named = error instanceof ApiError ? error.scope : undefined;
    return { problem: { kind: 'scope', scope: named ?? scope } };
  }
  if (hasCode(error, 'ERR_API_UNAVAILABLE')) return { problem: { kind: 'unavailable' } };
  return undefined;
}
