import type { Page } from 'playwright-core';

/** What came to a browser in one answer. */
export interface Delivery {
  readonly url: string;
  readonly headers: string;
  /** Empty for a redirect. */
  readonly body: string;
}

/** Keeps all that a tab is sent from now on, each answer before the page has it. */
export async function keepDeliveries(page: Page, deliveries: Delivery[]): Promise<void> {
  const session = await page.context().newCDPSession(page);
  session.on('Fetch.requestPaused', async (paused) => {
    const { requestId, request, responseStatusCode: status = 0, responseHeaders = [] } = paused;
    const hasBody = status >= 200 && (status < 300 || status >= 400) && status !== 204;
    try {
      const answer = hasBody && (await session.send('Fetch.getResponseBody', { requestId }));
      deliveries.push({
        url: request.url,
        headers: responseHeaders.map(({ name, value }) => `${name}: ${value}`).join('\n'),
        body: answer
          ? Buffer.from(answer.body, answer.base64Encoded ? 'base64' : 'utf8').toString()
          : '',
      });
      await session.send('Fetch.continueRequest', { requestId });
    } catch (error) {
      // A tab that is closed or left takes what it waited for along.
      if (!/closed|Invalid InterceptionId/.test(String(error))) throw error;
    }
  });
  await session.send('Fetch.enable', { patterns: [{ urlPattern: '*', requestStage: 'Response' }] });
}
