import Router from '@koa/router';
import { isLoopback, parseURL } from '@koa-oauth/service';
import type { VNode } from 'preact';
import type { AppContext } from '../context.ts';
import { showError } from '../views/error-page.tsx';
import { Layout, showPage } from '../views/layout.tsx';
import type { TimedStep, Transaction } from './transactions.ts';

/** `GET /log`, under names of this server only: by DNS rebinding, a page of another site could read it. */
export function logRoutes({ issuer, tenantName, transactions }: AppContext): Router {
  return new Router().get('/log', (ctx) => {
    if (isOwnHost(String(ctx.state.sentHost), issuer)) {
      showPage(ctx, logPage(tenantName, transactions.list()));
      return;
    }
    const title = 'Not at this address';
    const text = `The log is shown at ${issuer}log, and under a loopback address.`;
    showError(ctx, { tenantName, title, text }, 403);
  });
}

function isOwnHost(host: string, issuer: string): boolean {
  if (host === new URL(issuer).host) return true;
  return isLoopback(parseURL(`http://${host}`)?.hostname ?? '');
}

function logPage(tenantName: string, transactions: readonly Transaction[]): VNode {
  const { length } = transactions;
  const last = length === 1 ? 'transaction' : `${length} transactions`;
  const lead =
    length === 0
      ? 'Nothing has happened yet. Sign in to an application, then load this page again.'
      : `The last ${last}, the latest first; times in UTC`;
  return (
    <Layout title="Log" tenantName={tenantName} lead={lead} wide>
      {transactions.map((transaction) => (
        <TransactionSteps key={transaction.id} {...transaction} />
      ))}
    </Layout>
  );
}

function TransactionSteps({ id, client, user, steps }: Transaction): VNode {
  return (
    <section class="transaction" aria-labelledby={`transaction-${id}`}>
      <h2 id={`transaction-${id}`}>
        <span class="transaction-id">#{id}</span> {client ?? 'unknown client'}
        {user && <span class="transaction-user"> · {user}</span>}
      </h2>
      <ol>
        {steps.map((step) => (
          <li key={step.at} class={isBad(step) ? 'step-bad' : undefined}>
            <time datetime={step.at}>{step.at.slice(11, 19)}</time>
            <div>
              <strong>{headingOf(step)}</strong>
              {step.type && (
                <span class="step-fact">
                  <span>type</span> <code>{step.type}</code>
                </span>
              )}
              {factsOf(step).map(([name, value]) => (
                <span class="step-fact" key={name}>
                  <span>{name}</span> {value}
                </span>
              ))}
            </div>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** Members of each kind of step that the page shows. */
const SHOWN: Readonly<Record<TimedStep['step'], string>> = {
  request: 'grantType audience organization scope',
  'sign-in': 'user reason',
  connection: 'reason',
  consent: '',
  actions: 'names denied claims scopeAdded scopeRemoved',
  code: '',
  device: '',
  tokens: 'kinds audience scope',
  refusal: 'status text reason',
  revocation: 'user',
  logout: 'user',
  fault: 'fault',
};

const LABELS: Readonly<Record<string, string>> = {
  grantType: 'grant',
  scopeAdded: 'scope added',
  scopeRemoved: 'scope removed',
  fault: 'kind',
};

function headingOf(step: TimedStep): string {
  switch (step.step) {
    case 'request':
      return `Request ${step.endpoint}`;
    case 'sign-in':
      return { succeeded: 'Signed in', failed: 'Sign-in failed', session: 'Signed in before' }[
        step.outcome
      ];
    case 'connection':
      return {
        sent: `Sent to ${step.name}`,
        returned: `Returned from ${step.name}`,
        denied: `Denied by ${step.name}`,
        failed: `${step.name} failed`,
      }[step.outcome];
    case 'consent':
      return `Consent ${step.outcome}`;
    case 'actions':
      return step.denied === undefined ? 'Actions ran' : 'Actions denied';
    case 'revocation':
      return 'Refresh token revoked';
    case 'logout':
      return 'Signed out';
    case 'code':
      return 'Code issued';
    case 'device':
      return 'Device connected';
    case 'tokens':
      return 'Tokens issued';
    case 'refusal':
      return `Refused: ${step.error}`;
    case 'fault':
      return 'Fault injected';
  }
}

function factsOf(step: TimedStep): string[][] {
  const tokens = step.step === 'tokens' ? step : undefined;
  const members: Readonly<Record<string, unknown>> = {
    ...step,
    ...(tokens?.scope.length === 0 && { scope: 'none' }),
  };
  const facts = SHOWN[step.step].split(' ').map((name) => {
    const value = members[name] ?? '';
    const separator = name.startsWith('scope') ? ' ' : ', ';
    return [LABELS[name] ?? name, Array.isArray(value) ? value.join(separator) : String(value)];
  });
  const dropped = tokens?.dropped.map(({ scope, why = 'the reason is not known' }) => [
    `without ${scope}`,
    why,
  ]);
  return [...facts.filter(([, text]) => text !== ''), ...(dropped ?? [])];
}

function isBad(step: TimedStep): boolean {
  if ('outcome' in step) return ['failed', 'denied', 'declined'].includes(step.outcome);
  if (step.step === 'actions') return step.denied !== undefined;
  return step.step === 'refusal' || step.step === 'fault';
}
