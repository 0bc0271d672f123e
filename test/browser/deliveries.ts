import type { Page } from 'playwright-core';

/** Answer that a browser received. */
export interface Delivery {
  readonly url: string;
  readonly headers: string;
  /** Empty for a redirect. */
  readonly body: string;
}

/** Records every answer that a tab receives from now on, before the page sees it. */
export async function recordDeliveries(page: Page, deliveries: Delivery[]): Promise<void> {
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
      // The answers of a tab that was closed or left are gone.
      if (!/closed|Invalid InterceptionId/.test(String(error))) throw error;
    }
  });
  await session.send('Fetch.enable', { patterns: [{ urlPattern: '*', requestStage: 'Response' }] });
}
