import { sqliteStore } from '@koa-oauth/client/sqlite';
import { Seal } from '../../packages/client/src/session/seal.ts';
import type { SessionContent } from '../../packages/client/src/session/session.ts';
import { storeKey } from '../../packages/client/src/session/session-store.ts';
import type { Exchange, RecordingProxy } from './recording-proxy.ts';
import type { Place, Secret } from './secret-search.ts';
import type { Stage } from './secret-stage.ts';

/** Values that only the two ends of an exchange may see. */
interface SecretsOfARun {
  /** Tokens, codes, verifiers, and secrets from before the run. */
  readonly credentials: readonly Secret[];
  /** Values of the web app's cookies, except the counter of sign-ins, which is no secret. */
  readonly cookies: readonly Secret[];
  /** `state` and `nonce` of each sign-in, by the browser that began it. */
  readonly signIns: ReadonlyMap<string, readonly Secret[]>;
}

/** Members of a token request or its answer, with their kinds. */
const KINDS = {
  code: 'code',
  code_verifier: 'verifier',
  access_token: 'access token',
  refresh_token: 'refresh token',
  id_token: 'ID token',
  token: 'refresh token',
} as const;
const BACK_CHANNEL = /^\/oauth\/(token|revoke)/;

/** Reads the secrets from the requests to the issuer and its answers. */
export function secretsOf({ secrets, toIssuer, toWeb, toApi }: Stage): SecretsOfARun {
  const exchanges = toIssuer.exchanges;
  const members = exchanges
    .filter(({ url }) => BACK_CHANNEL.test(url))
    .flatMap(({ requestBody, responseBody }) => [
      ...new URLSearchParams(requestBody),
      ...Object.entries(responseBody.startsWith('{') ? JSON.parse(responseBody) : {}),
    ]) as [string, unknown][];
  const sent = exchanges.flatMap(({ responseHeaders }) => codeIn(responseHeaders) ?? []);
  const logoutTokens = toWeb.exchanges.flatMap(({ requestBody }) =>
    new URLSearchParams(requestBody).getAll('logout_token'),
  );
  const proofs = [...exchanges, ...toApi.exchanges].flatMap(
    ({ requestHeaders }) => /^dpop: (.+)$/im.exec(requestHeaders)?.[1] ?? [],
  );
  const signIns = new Map<string, Secret[]>();
  for (const { url, requestHeaders } of exchanges) {
    if (!url.startsWith('/authorize?')) continue;
    const query = new URL(url, 'http://localhost').searchParams;
    const browser = userAgent(requestHeaders);
    const known = signIns.get(browser) ?? [];
    for (const kind of ['state', 'nonce']) known.push({ kind, value: query.get(kind) ?? '' });
    signIns.set(browser, known);
  }
  return {
    credentials: unique([
      ...secrets,
      ...members.flatMap(([name, value]) =>
        Object.hasOwn(KINDS, name)
          ? [{ kind: KINDS[name as keyof typeof KINDS], value: String(value) }]
          : [],
      ),
      ...sent.map((value) => ({ kind: 'code', value })),
      ...logoutTokens.map((value) => ({ kind: 'logout token', value })),
      ...proofs.map((value) => ({ kind: 'proof', value })),
    ]),
    cookies: unique(
      [
        ...toWeb.exchanges
          .map(({ responseHeaders }) => responseHeaders)
          .join('\n')
          .matchAll(/^set-cookie: (?!recent\.)[^=]+=([^;]+)/gim),
      ].map(([, value = '']) => ({ kind: 'cookie', value })),
    ),
    signIns,
  };
}

/** Returns the private keys of the sessions that the store, a file, has now (RFC 9449). */
export async function sessionKeysOf(stage: Stage): Promise<Secret[]> {
  const { secrets, toIssuer, dir } = stage;
  const secret = secrets.find(({ kind }) => kind === 'cookie secret')?.value ?? '';
  const seal = new Seal([secret], `session ${JSON.stringify([toIssuer.url, 'contacts-web'])}`);
  const store = sqliteStore({ path: `${dir}/sessions.db` });
  const keys: Secret[] = [];
  for (const { value: id } of secretsOf(stage).cookies) {
    const { sealed = '' } = (await store.read(storeKey(id))) ?? {};
    const opened = seal.open(sealed, id) as { content: SessionContent } | undefined;
    if (opened?.content.dpopKey)
      keys.push({ kind: 'session key', value: opened.content.dpopKey.d });
  }
  await store.close();
  return keys;
}

/** Returns all requests of the browser to the web app, and the answers of app and issuer. */
export function seenByBrowsers({ toWeb, toIssuer }: Stage, of = (_browser: string) => true) {
  const from = (proxy: RecordingProxy) =>
    proxy.exchanges.filter(
      ({ url, requestHeaders }) => !BACK_CHANNEL.test(url) && of(userAgent(requestHeaders)),
    );
  const whole = [...from(toWeb), ...from(toIssuer)];
  const bodies = whole.map((one) => place('the body', one, bodyWithoutCode(one)));
  return {
    bodies,
    all: [
      ...bodies,
      ...whole.map((one) => place('the headers', one, withoutCode(one.responseHeaders))),
      ...from(toWeb).map((one) => place('the request', one, requestText(one))),
    ],
  };
}

function place(what: string, { method, url }: Exchange, text: string): Place {
  return { name: `${what} of ${method} ${url.split('?')[0]}`, text };
}

/** Removes the code from the request to the callback. Logout tokens come from no browser. */
function requestText({ url, requestHeaders, requestBody }: Exchange): string {
  const target = url.startsWith('/callback?') ? '/callback' : url;
  const body = target === '/backchannel-logout' ? '' : requestBody;
  return `${target}\n${requestHeaders}\n${body}`;
}

const CALLBACK = /^location: (\S+\/callback\?\S*)$/im;

/** Removes the code from the redirect to the callback. */
function withoutCode(headers: string): string {
  return headers.replace(CALLBACK, '');
}

/** Removes the code from the text of that redirect, which repeats the address. */
function bodyWithoutCode({ responseHeaders, responseBody }: Exchange): string {
  const [, location] = CALLBACK.exec(responseHeaders) ?? [];
  return location === undefined ? responseBody : '';
}

function codeIn(headers: string): string | null | undefined {
  const [, location] = CALLBACK.exec(headers) ?? [];
  return location && new URL(location).searchParams.get('code');
}

function userAgent(headers: string): string {
  return /^user-agent: (.+)$/im.exec(headers)?.[1] ?? '';
}

function unique(secrets: readonly Secret[]): Secret[] {
  return [...new Map(secrets.map((secret) => [secret.value, secret])).values()];
}
