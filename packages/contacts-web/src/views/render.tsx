import type { Context } from 'koa';
import type { VNode } from 'preact';
import { renderToString } from 'preact-render-to-string';

/** Answers with a page; all text in it is escaped by the renderer. */
export function render(ctx: Pick<Context, 'type' | 'body'>, page: VNode): void {
  ctx.type = 'html';
  ctx.body = `<!doctype html>${renderToString(page)}`;
}
