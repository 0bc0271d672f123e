import Router from '@koa/router';
import type { Context } from 'koa';
import type { Interaction } from 'oidc-provider';
import type { VNode } from 'preact';
import type { SecondStep } from '../actions/login-outcome.ts';
import type { PageContext } from '../context.ts';
import { readForm } from '../http/body.ts';
import { interactionOf, resumeInteraction, sessionNotFound } from '../http/current-interaction.ts';
import type { LogType } from '../log/transactions.ts';
import { findApplication } from '../tenant/tenant.ts';
import { FaultText, Layout, showPage } from '../views/layout.tsx';

const FACTOR_NAMES: Readonly<Record<string, string>> = {
  otp: 'One-time password',
  'push-notification': 'Push notification',
  phone: 'Phone',
  email: 'E-mail',
  'webauthn-roaming': 'Security key',
  'webauthn-platform': 'Device',
  'recovery-code': 'Recovery code',
};

interface StepPage {
  readonly interaction: Interaction;
  readonly step: SecondStep;
  readonly user: string;
}

/** Page of a second factor, between the sign-in and the rest of the login. */
export function secondStepRoutes(context: PageContext): Router {
  const page = new SecondStepPage(context);
  return new Router()
    .get('/u/mfa/:uid', async (ctx) => page.show(ctx, await page.stepOf(ctx)))
    .post('/u/mfa/:uid', (ctx) => page.answer(ctx));
}

/** Every method throws SessionNotFound unless the sign-in in the browser's cookie waits for this step. */
class SecondStepPage {
  readonly #context: PageContext;

  constructor(context: PageContext) {
    this.#context = context;
  }

  async stepOf(ctx: Context): Promise<StepPage> {
    const interaction = await interactionOf(this.#context.provider, ctx, 'actions');
    const { step } = interaction.prompt.details as { step?: SecondStep };
    const user = interaction.session?.accountId;
    if (step === undefined || user === undefined) throw sessionNotFound();
    return { interaction, step, user };
  }

  show(ctx: Context, { interaction, step }: StepPage, fault?: string): void {
    const { tenant, tenantName } = this.#context;
    const applicationName = findApplication(tenant, interaction.params.client_id)?.name ?? '';
    showPage(ctx, stepPage({ tenantName, applicationName, step, fault }));
  }

  /** Ends the step if the code is right. Wrong codes are limited as failed sign-ins are. */
  async answer(ctx: Context): Promise<void> {
    const { provider, limits, log } = this.#context;
    const page = await this.stepOf(ctx);
    const { step, user, interaction } = page;
    const { code, factor } = await readForm(ctx);
    const account = `mfa ${user}`;
    const facts = { client: interaction.params.client_id, user };
    const wait = await limits.attempts.count(account, ctx.ip);
    if (wait !== undefined) {
      const type: LogType = 'gd_otp_rate_limit_exceed';
      log.warn({ ...facts, type }, 'second factor refused: too many failures');
      this.show(ctx, page, `Too many wrong codes. Wait ${wait} seconds, then try again.`);
      ctx.set('Retry-After', String(wait));
      ctx.status = 429;
    } else if (code !== step.code || !step.factors.includes(String(factor))) {
      const type: LogType = 'gd_auth_failed';
      log.info({ ...facts, type }, 'second factor failed');
      this.show(ctx, page, 'This is not the code.');
      ctx.status = 400;
    } else {
      await limits.attempts.forget(account, ctx.ip);
      const type: LogType = step.kind === 'enroll' ? 'gd_enrollment_complete' : 'gd_auth_succeed';
      log.info({ ...facts, type, factor }, 'second factor succeeded');
      await resumeInteraction(provider, ctx, { proved: { code, factor } });
    }
  }
}

interface StepPageProps {
  readonly tenantName: string;
  readonly applicationName: string;
  readonly step: SecondStep;
  readonly fault: string | undefined;
}

/**
 * Page that shows a code and asks for it: this server can reach no phone. It posts `code` and `factor` to
 * its own address.
 */
function stepPage({ tenantName, applicationName, step, fault }: StepPageProps): VNode {
  const { kind, factors, code } = step;
  const title = kind === 'enroll' ? 'Set up a second factor' : 'Confirm that it is you';
  const lead = (
    <>
      to continue to <strong>{applicationName}</strong>
    </>
  );
  return (
    <Layout title={title} tenantName={tenantName} lead={lead}>
      <FaultText text={fault} />
      <p class="user-code">
        <output id="code">{code}</output>
      </p>
      <p class="advice">This server sends no messages. Type this code.</p>
      <form method="post" class="fields">
        <FactorField factors={factors} />
        <label>
          Code{factors.length === 1 && ` (${FACTOR_NAMES[factors[0] ?? '']})`}
          <input
            name="code"
            inputmode="numeric"
            autocomplete="one-time-code"
            required
            autofocus
            aria-invalid={fault ? 'true' : undefined}
            aria-describedby={fault && 'fault'}
          />
        </label>
        <button type="submit">Continue</button>
      </form>
    </Layout>
  );
}

function FactorField({ factors }: Pick<SecondStep, 'factors'>): VNode {
  if (factors.length === 1) return <input type="hidden" name="factor" value={factors[0]} />;
  return (
    <label>
      Factor
      <select name="factor">
        {factors.map((factor) => (
          <option key={factor} value={factor}>
            {FACTOR_NAMES[factor]}
          </option>
        ))}
      </select>
    </label>
  );
}
