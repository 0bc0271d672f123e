const LOGOUT_TIME_LIMIT_MS = 2500;
const MAX_RETRY_DELAY_MS = 25_000;
/** Waits before a logout token is sent again. It is valid for two minutes. */
const LOGOUT_RETRY_DELAYS_MS = [1000, 5000, MAX_RETRY_DELAY_MS];

/**
 * Sends a logout token (OpenID Connect Back-Channel Logout 1.0 §2.5, §2.8). A receiver that is away or
 * fails gets the same one again, not before the seconds in its `Retry-After`; a refusal is final.
 *
 * @param sendAgain is called with each later attempt
 * @throws Error when this attempt fails: without an answer in 2.5 seconds, or with one that is not 200 or 204
 */
export async function sendLogoutToken(
  url: string,
  logoutToken: string,
  sendAgain: (send: () => Promise<void>) => void,
  [delay, ...later] = LOGOUT_RETRY_DELAYS_MS,
): Promise<void> {
  let status: number | undefined;
  let askedMs = 0;
  try {
    const answer = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ logout_token: logoutToken }),
      signal: AbortSignal.timeout(LOGOUT_TIME_LIMIT_MS),
    });
    status = answer.status;
    askedMs = 1000 * Number(answer.headers.get('retry-after')) || 0;
    await answer.body?.cancel();
    if (status !== 200 && status !== 204) throw new Error(`${url} answered ${status}, not 200`);
  } catch (error) {
    const isPassing = status === undefined || status === 429 || status >= 500;
    if (isPassing && delay !== undefined) {
      const send = () => sendLogoutToken(url, logoutToken, sendAgain, later);
      const waitMs = Math.max(delay, Math.min(askedMs, MAX_RETRY_DELAY_MS));
      setTimeout(sendAgain, waitMs, send).unref();
    }
    throw error;
  }
}
