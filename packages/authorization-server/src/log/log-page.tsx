import Router from '@koa/router';
import { isLoopback } from '@koa-oauth/service';
import type { VNode } from 'preact';
import type { AppContext } from '../context.ts';
import { errorPage } from '../views/error-page.tsx';
import { Layout, toPage } from '../views/layout.tsx';
import type { TimedStep, Transaction } from './transactions.ts';

/**
 * `GET /log`: every transaction step by step; registered only with the control on. It answers under the
 * issuer's name and loopback names only: by DNS rebinding, a page of another site could read it.
 */
export function logRoutes({ issuer, tenantName, transactions }: AppContext): Router {
  return new Router().get('/log', (ctx) => {
    ctx.type = 'html';
    if (isOwnHost(String(ctx.state.sentHost), issuer)) {
      ctx.body = logPage(tenantName, transactions.list());
      return;
    }
    ctx.status = 403;
    ctx.body = errorPage({
      tenantName,
      title: 'Not by this name',
      text: `The log is shown at ${issuer}log, and under a loopback address.`,
    });
  });
}

function isOwnHost(host: string, issuer: string): boolean {
  if (host === new URL(issuer).host) return true;
  return URL.canParse(`http://${host}`) && isLoopback(new URL(`http://${host}`).hostname);
}

function logPage(tenantName: string, transactions: readonly Transaction[]): string {
  return toPage(
    <Layout title="Log" tenantName={tenantName} wide>
      <header class="card-head">
        <h1>Log</h1>
        <p>
          {transactions.length === 0
            ? 'Nothing has happened yet. Sign in to an application, then load this page again.'
            : `The last ${transactions.length === 1 ? 'transaction' : `${transactions.length} transactions`}, the latest first; times in UTC`}
        </p>
      </header>
      {transactions.map((transaction) => (
        <TransactionSteps key={transaction.id} {...transaction} />
      ))}
    </Layout>,
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
        {steps.map((step) => {
          const { heading, facts, bad } = describe(step);
          return (
            <li key={step.at} class={bad ? 'step-bad' : undefined}>
              <time datetime={step.at}>{step.at.slice(11, 19)}</time>
              <div>
                <strong>{heading}</strong>
                {step.type && (
                  <span class="step-fact">
                    <span>type</span> <code>{step.type}</code>
                  </span>
                )}
                {facts.map(([name, value]) => (
                  <span class="step-fact" key={name}>
                    <span>{name}</span> {value}
                  </span>
                ))}
              </div>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

type Fact = readonly [name: string, value: string];

interface Described {
  readonly heading: string;
  readonly facts: readonly Fact[];
  readonly bad?: boolean;
}

function describe(step: TimedStep): Described {
  switch (step.step) {
    case 'request': {
      const { endpoint, grantType, audience, scope, organization } = step;
      return {
        heading: `Request ${endpoint}`,
        facts: withoutEmpty([
          ['grant', grantType],
          ['audience', audience],
          ['organization', organization],
          ['scope', scope?.join(' ')],
        ]),
      };
    }
    case 'sign-in':
      return {
        heading: { succeeded: 'Signed in', failed: 'Sign-in failed', session: 'Signed in before' }[
          step.outcome
        ],
        facts: withoutEmpty([
          ['user', step.user],
          ['reason', step.reason],
        ]),
        bad: step.outcome === 'failed',
      };
    case 'connection':
      return {
        heading: {
          sent: `Sent to ${step.name}`,
          returned: `Returned from ${step.name}`,
          denied: `Denied by ${step.name}`,
          failed: `${step.name} failed`,
        }[step.outcome],
        facts: withoutEmpty([['reason', step.reason]]),
        bad: step.outcome === 'denied' || step.outcome === 'failed',
      };
    case 'consent':
      return {
        heading: `Consent ${step.outcome}`,
        facts: [],
        bad: step.outcome === 'declined',
      };
    case 'actions':
      return {
        heading: step.denied === undefined ? 'Actions ran' : 'Actions denied',
        facts: withoutEmpty([
          ['names', step.names.join(', ')],
          ['denied', step.denied],
          ['claims', step.claims.join(', ')],
          ['scope added', step.scopeAdded.join(' ')],
          ['scope removed', step.scopeRemoved.join(' ')],
        ]),
        bad: step.denied !== undefined,
      };
    case 'revocation':
      return { heading: 'Refresh token revoked', facts: withoutEmpty([['user', step.user]]) };
    case 'logout':
      return { heading: 'Signed out', facts: withoutEmpty([['user', step.user]]) };
    case 'code':
      return { heading: 'Code issued', facts: [] };
    case 'tokens':
      return {
        heading: 'Tokens issued',
        facts: withoutEmpty([
          ['kinds', step.kinds.join(', ')],
          ['audience', step.audience],
          ['scope', step.scope.join(' ') || 'none'],
          ...step.dropped.map(
            ({ scope, why }): Fact => [`without ${scope}`, why ?? 'the reason is not known'],
          ),
        ]),
      };
    case 'refusal':
      return {
        heading: `Refused: ${step.error}`,
        facts: withoutEmpty([
          ['status', step.status?.toString()],
          ['text', step.text],
          ['reason', step.reason],
        ]),
        bad: true,
      };
    case 'fault':
      return { heading: 'Fault injected', facts: [['kind', step.fault]], bad: true };
  }
}

function withoutEmpty(facts: readonly (readonly [string, string | undefined])[]): Fact[] {
  return facts.flatMap(([name, value]) => (value ? [[name, value] as const] : []));
}
