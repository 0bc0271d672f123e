import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults, RunOptions } from 'axe-core';
import type { Page } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const COLOURS: RunOptions = { runOnly: ['color-contrast', 'link-in-text-block'] };

/**
 * What axe finds on a page: by all of its rules in the light theme, in the dark one by those about
 * colours. The page's context must leave Content-Security-Policy aside, or axe is kept out.
 *
 * @returns a sentence for each element, with its rule and theme
 */
export async function violationsOf(page: Page): Promise<string[]> {
  await page.evaluate(`window.axe || eval(${JSON.stringify(axe)})`);
  const found: string[] = [];
  for (const [colorScheme, options] of [
    ['light', {}],
    ['dark', COLOURS],
  ] as const) {
    await page.emulateMedia({ colorScheme });
    // Half-way from one theme to the other, no colour is that of a theme.
    await page.evaluate('for (const animation of document.getAnimations()) animation.finish()');
    const { passes, violations } = await page.evaluate<AxeResults>(
      `axe.run({ resultTypes: ['violations'], ...${JSON.stringify(options)} })`,
    );
    if (passes.length === 0) throw new Error('axe looked at nothing');
    for (const { id, nodes } of violations) {
      for (const node of nodes)
        found.push(`${id} in ${colorScheme}, ${node.target}: ${node.failureSummary}`);
    }
  }
  await page.emulateMedia({ colorScheme: null });
  return found;
}
