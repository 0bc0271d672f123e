import type { ClientMessage } from '@koa-oauth/client';
import type { VNode } from 'preact';
import { Sequence } from './sequence.tsx';

const STEPS: readonly { title: string; text: string; parts: readonly ClientMessage['step'][] }[] = [
  {
    title: 'Push the request',
    text: 'The app told the authorization server what it would like to do, behind the browser’s back.',
    parts: ['pushed_authorization_request', 'pushed_authorization_response'],
  },
  {
    title: 'Ask for authorization',
    text: 'The app sent your browser to the authorization server, with what it would like to do.',
    parts: ['authorization_request'],
  },
  {
    title: 'Come back with a code',
    text: 'You signed in there and agreed; your browser brought a code back.',
    parts: ['authorization_response'],
  },
  {
    title: 'Exchange the code for tokens',
    text: 'Behind the browser’s back. Every rule for the answer and the ID token was checked before anything was kept.',
    parts: ['token_request', 'token_response'],
  },
  {
    title: 'Refresh',
    text: 'The access token was renewed without you.',
    parts: ['refresh_request', 'refresh_response'],
  },
];

const PART_NAMES: Readonly<Record<ClientMessage['step'], string>> = {
  pushed_authorization_request: 'Sent',
  pushed_authorization_response: 'Received',
  authorization_request: 'Sent, through the browser',
  authorization_response: 'Received, through the browser',
  token_request: 'Sent',
  token_response: 'Received',
  refresh_request: 'Sent',
  refresh_response: 'Received',
};

/** How this session came about, message by message. */
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
              {steps.map((step) => (
                <Message key={step.step} step={step} />
              ))}
            </li>
          );
        })}
        <li class="card">
          <h3>Call the API</h3>
          <p>
            Each page of contacts is one call with the access token in its Authorization header. Try
            it below, the right way and seven wrong ones.
          </p>
        </li>
      </ol>
    </section>
  );
}

function Message({ step: { step, at, url, status, parameters } }: { step: ClientMessage }) {
  const time = new Date(at).toISOString();
  return (
    <details>
      <summary>
        {PART_NAMES[step]}
        {status !== undefined && <span class="badge">{status}</span>}
        <time dateTime={time}>{time.slice(11, 23)} UTC</time>
      </summary>
      {url && (
        <p class="where">
          <code>{`${step.startsWith('authorization') ? 'GET' : 'POST'} ${url}`}</code>
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
              <small>{explainParameter(step, name) ?? 'A parameter of this issuer’s own.'}</small>
            </dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

/** What each parameter of the flow is for, in a sentence; where two steps differ, by step. */
const PARAMETERS: Readonly<Record<string, string>> = {
  response_type: 'An authorization code is asked for, to be exchanged behind the browser’s back.',
  client_id: 'Which application asks, as it is registered.',
  redirect_uri: 'Where the answer goes; it must be registered, letter by letter.',
  scope: 'What the app would like to do in your name.',
  audience: 'The API that the access token is for.',
  state: 'Ties the answer to this browser: a callback that nobody here began is refused.',
  nonce: 'Comes back inside the ID token, so that it can’t be one from another sign-in.',
  code_challenge: 'The hash of a secret that only this app holds (PKCE).',
  code_challenge_method: 'How it was hashed: SHA-256.',
  max_age: 'How long ago you may have signed in, in seconds.',
  prompt: 'Which page the authorization server is to show in any case.',
  code: 'Good for one exchange within a minute, and worth nothing without the verifier.',
  iss: 'Who answers: it must be the issuer that was asked (RFC 9207).',
  request_uri: 'The name under which the request was pushed (RFC 9126).',
  acr_values: 'How strongly you would best be authenticated.',
  grant_type: 'What is exchanged for tokens.',
  code_verifier: 'The secret behind the challenge: whoever stole the code lacks it.',
  client_secret: 'Proves that it is this app that asks.',
  client_assertion: 'Proves, by a signature, that it is this app that asks.',
  client_assertion_type: 'Of what kind the proof is.',
  access_token: 'What the API takes. This app only passes it on.',
  refresh_token: 'Gets a new access token when this one has expired, without you.',
  id_token: 'Who you are, signed by the issuer.',
  token_type: 'Whoever bears it may use it: it goes in the Authorization header.',
  expires_in: 'Seconds that the access token lasts.',
  error: 'Why there is no token.',
  error_description: 'The same, for whoever writes the app.',
  resource: 'The API that the access token is for.',
};

const BY_STEP: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  token_request: { redirect_uri: 'Once more: it must be the one that the code was made for.' },
  token_response: { scope: 'What was granted, which may be less than was asked for.' },
  refresh_request: { scope: 'What the new token is to allow: at most what was granted.' },
  refresh_response: {
    scope: 'What the new token allows.',
    refresh_token: 'A new one: the one that was sent is spent (rotation).',
  },
};

/** @returns undefined for a parameter that this app knows nothing of */
function explainParameter(step: string, name: string): string | undefined {
  const ofStep = BY_STEP[step] ?? {};
  if (Object.hasOwn(ofStep, name)) return ofStep[name];
  return Object.hasOwn(PARAMETERS, name) ? PARAMETERS[name] : undefined;
}
