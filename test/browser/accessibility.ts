import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults, RunOptions } from 'axe-core';
import type { Page } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const COLOR_RULES: RunOptions = { runOnly: ['color-contrast', 'link-in-text-block'] };

/**
 * Checks a page with axe: all rules in the light theme, on a wide screen and on a phone, and the rules about
 * colors in the dark one. The page's context must bypass Content-Security-Policy, which would block axe.
 *
 * @returns a sentence for each violation, with rule, theme and width
 */
export async function findViolations(page: Page): Promise<string[]> {
  await page.evaluate(`window.axe || eval(${JSON.stringify(axe)})`);
  const found: string[] = [];
  for (const [colorScheme, width, options] of [
    ['light', 390, {}],
    ['light', 1280, {}],
    ['dark', 1280, COLOR_RULES],
  ] as const) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme });
    // During the transition between the themes, colors belong to neither.
    await page.evaluate('for (const animation of document.getAnimations()) animation.finish()');
    const { passes, violations } = await page.evaluate<AxeResults>(
      `axe.run({ resultTypes: ['violations'], ...${JSON.stringify(options)} })`,
    );
    if (passes.length === 0) throw new Error('axe checked nothing');
    for (const { id, nodes } of violations) {
      for (const node of nodes)
        found.push(
          `${id} in ${colorScheme} at ${width} px, ${node.target}: ${node.failureSummary}`,
        );
    }
  }
  await page.emulateMedia({ colorScheme: null });
  return found;
}
