import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const executablePath = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
]
  .filter((path) => path !== undefined)
  .find(existsSync);

/** What the name of a skipped test ends with; empty when there is a browser. */
export const whyNoChromium = executablePath
  ? ''
  : ': no Chromium found; install it, or set CHROMIUM to its path';

/**
 * Starts a browser that asks the network for nothing of its own.
 *
 * @param keepsPages whether it shows a page as it was when one goes back to it (the back/forward
 *   cache), as people's browsers do; what is open then is lost to the driver
 */
export function launchChromium({ keepsPages = false } = {}): Promise<Browser> {
  return chromium.launch({
    executablePath,
    ...(keepsPages && { ignoreDefaultArgs: ['--disable-back-forward-cache'] }),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
