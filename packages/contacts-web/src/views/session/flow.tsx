import type { FlowStep } from '@koa-oauth/client';
import type { VNode } from 'preact';
import { explainParameter } from '../../session/parameter-text.ts';
import { Sequence } from './sequence.tsx';

const STEPS: readonly { title: string; text: string; parts: readonly FlowStep['step'][] }[] = [
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

const PART_NAMES: Readonly<Record<FlowStep['step'], string>> = {
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
export function Flow({ flow }: { flow: readonly FlowStep[] }): VNode {
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

function Message({ step: { step, at, url, status, parameters } }: { step: FlowStep }) {
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
