import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const executablePath = [
  process.env.CHROMIUM,
  // Without the windows of a desktop it needs less than half the time.
  '/usr/bin/chromium-headless-shell',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
]
  .filter((path) => path !== undefined)
  .find(existsSync);

/** End of the name of a skipped test; empty when there is a browser. */
export const whyNoChromium = executablePath
  ? ''
  : ': no Chromium found; install it, or set CHROMIUM to its path';

/**
 * Starts a browser that sends no requests of its own.
 *
 * @param keepsPages turns on the back/forward cache. The driver then loses the open page.
 * @param hostRules maps host names to other addresses, such as `MAP *.example.com 127.0.0.1:8443`
 */
export function launchChromium({ keepsPages = false, hostRules = '' } = {}): Promise<Browser> {
  return chromium.launch({
    executablePath,
    ...(keepsPages && { ignoreDefaultArgs: ['--disable-back-forward-cache'] }),
    args: [
      '--no-sandbox',
      ...(hostRules === '' ? [] : [`--host-resolver-rules=${hostRules}`]),
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
