import type { ClientMessage } from '@koa-oauth/client';
import type { VNode } from 'preact';
import { Sequence } from './sequence.tsx';

const STEPS: readonly { title: string; text: string; parts: readonly ClientMessage['step'][] }[] = [
  {
    title: 'Push the request',
    text: 'The app sent its request directly to the authorization server, not through the browser.',
    parts: ['pushed_authorization_request', 'pushed_authorization_response'],
  },
  {
    title: 'Ask for authorization',
    text: 'The app sent your browser to the authorization server, with its request.',
    parts: ['authorization_request'],
  },
  {
    title: 'Come back with a code',
    text: 'You signed in and agreed there. Your browser brought a code back.',
    parts: ['authorization_response'],
  },
  {
    title: 'Exchange the code for tokens',
    text: 'The app did this directly, not through the browser. It checked the answer and the ID token before it stored them.',
    parts: ['token_request', 'token_response'],
  },
  {
    title: 'Refresh',
    text: 'The app renewed the access token without you.',
    parts: ['refresh_request', 'refresh_response'],
  },
];

/** Messages that led to this session, step by step. */
export function Flow({ flow }: { flow: readonly ClientMessage[] }): VNode {
  return (
    <section aria-labelledby="flow-heading">
      <h2 id="flow-heading">How you were signed in</h2>
      <div class="card picture-card">
        <Sequence flow={flow} />
      </div>
      <ol class="flow">
        {STEPS.map(({ title, text, parts }) => {
          const steps = flow.filter(({ step }) => parts.includes(step));
          if (steps.length === 0) return null;
          return (
            <li key={title} class="card">
              <h3>{title}</h3>
              <p>{text}</p>
              {steps.map((step, index) => (
                <Message key={`${step.step} ${index}`} step={step} />
              ))}
            </li>
          );
        })}
        <li class="card">
          <h3>Call the API</h3>
          <p>
            Each page of contacts calls the API once, with the access token in the Authorization
            header. Try it below, in the right way and in wrong ways.
          </p>
        </li>
      </ol>
    </section>
  );
}

function Message({ step: { step, at, url, status, parameters } }: { step: ClientMessage }) {
  const time = new Date(at).toISOString();
  const direction = step.endsWith('_request') ? 'Sent' : 'Received';
  const isThroughBrowser = step.startsWith('authorization');
  const texts: typeof PARAMETERS = { ...PARAMETERS, ...BY_STEP[step] };
  return (
    <details>
      <summary>
        {isThroughBrowser ? `${direction}, through the browser` : direction}
        {status !== undefined && <span class="badge">{status}</span>}
        <time dateTime={time}>{time.slice(11, 23)} UTC</time>
      </summary>
      {url && (
        <p class="where">
          <code>{`${isThroughBrowser ? 'GET' : 'POST'} ${url}`}</code>
        </p>
      )}
      <dl class="parameters">
        {Object.entries(parameters).map(([name, value]) => (
          <div key={name}>
            <dt>
              <code>{name}</code>
            </dt>
            <dd>
              <span class="value">{value}</span>
              <small>
                {Object.hasOwn(texts, name) ? texts[name] : 'A parameter of this issuer.'}
              </small>
            </dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

/** Purpose of each parameter. `BY_STEP` has those that differ for a step. */
const PARAMETERS: Readonly<Record<string, string>> = {
  response_type: 'The app requests a code, and exchanges it outside the browser.',
  client_id: 'The id of the app at the issuer.',
  redirect_uri: 'The address for the answer. It must be registered exactly.',
  scope: 'The permissions that the app requests.',
  audience: 'The API that the access token is for.',
  state: 'Links the answer to this browser. A callback that did not begin here is rejected.',
  nonce: 'The ID token must repeat it, to belong to this sign-in.',
  code_challenge: 'The hash of a secret that only this app has (PKCE).',
  code_challenge_method: 'The hash function: SHA-256.',
  max_age: 'The maximum age of your last sign-in, in seconds.',
  prompt: 'The page that the authorization server must show.',
  code: 'Works once, within a minute, and only with the verifier.',
  iss: 'The issuer that answers. It must be the one that was asked (RFC 9207).',
  request_uri: 'The name of the pushed request (RFC 9126).',
  acr_values: 'The preferred strength of the sign-in.',
  grant_type: 'The kind of the token request.',
  code_verifier: 'The secret of the challenge. A stolen code is useless without it.',
  client_secret: 'Proves that this app sends the request.',
  client_assertion: 'Proves with a signature that this app sends the request.',
  client_assertion_type: 'The kind of the proof.',
  access_token: 'For the API. This app only passes it on.',
  refresh_token: 'Gets a new access token without you, when this one has expired.',
  id_token: 'Says who you are, signed by the issuer.',
  token_type:
    'Bearer: everyone who has the token can use it. DPoP: it needs a proof of the session’s key.',
  DPoP: 'Proves that the app has the key of this session. It works once.',
  dpop_jkt: 'The thumbprint of the session’s key. The code works only with a proof of it.',
  expires_in: 'Seconds until the access token expires.',
  error: 'The reason why there is no token.',
  error_description: 'The same, for the developers of the app.',
  resource: 'The API that the access token is for.',
};

const BY_STEP: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  token_request: { redirect_uri: 'The same again: the code requires it.' },
  token_response: { scope: 'The granted scopes. They can be fewer than requested.' },
  refresh_request: { scope: 'The scopes of the new token: at most those granted.' },
  refresh_response: {
    scope: 'The scopes of the new token.',
    refresh_token: 'A new one. The one that was sent is no longer valid (rotation).',
  },
};
