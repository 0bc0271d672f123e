import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults, RunOptions } from 'axe-core';
import type { Page } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const COLOR_RULES: RunOptions = { runOnly: ['color-contrast', 'link-in-text-block'] };

/**
 * Checks a page with axe: all rules in the light theme, the rules about colors in the dark one. The
 * page's context must bypass Content-Security-Policy, which would block axe.
 *
 * @returns a sentence for each violation, with rule and theme
 */
export async function findViolations(page: Page): Promise<string[]> {
  await page.evaluate(`window.axe || eval(${JSON.stringify(axe)})`);
  const found: string[] = [];
  for (const [colorScheme, options] of [
    ['light', {}],
    ['dark', COLOR_RULES],
  ] as const) {
    await page.emulateMedia({ colorScheme });
    // During the transition between the themes, colors belong to neither.
    await page.evaluate('for (const animation of document.getAnimations()) animation.finish()');
    const { passes, violations } = await page.evaluate<AxeResults>(
      `axe.run({ resultTypes: ['violations'], ...${JSON.stringify(options)} })`,
    );
    if (passes.length === 0) throw new Error('axe checked nothing');
    for (const { id, nodes } of violations) {
      for (const node of nodes)
        found.push(`${id} in ${colorScheme}, ${node.target}: ${node.failureSummary}`);
    }
  }
  await page.emulateMedia({ colorScheme: null });
  return found;
}
