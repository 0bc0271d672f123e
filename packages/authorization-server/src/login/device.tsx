import type { EventEmitter } from 'node:events';
import type { Context, Middleware, Next } from 'koa';
import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import type { VNode } from 'preact';
import type { AppContext } from '../context.ts';
import { ROUTES } from '../endpoints.ts';
import { errors } from '../oidc-provider.ts';
import { findApplication } from '../tenant/tenant.ts';
import { NOT_CONFIRMED, type TooManyCodes } from '../token/device-code.ts';
import { showError } from '../views/error-page.tsx';
import { FaultText, Layout, showPage } from '../views/layout.tsx';
import { xsrfOf } from './logout.tsx';

type Shown = Parameters<typeof showPage>[0];
type DeviceFlow = NonNullable<NonNullable<Configuration['features']>['deviceFlow']>;

/** Members of the engine's errors. */
interface EngineError {
  readonly name: string;
  readonly error_description?: string;
  readonly expose?: boolean;
  readonly userCode?: string;
  readonly cause?: unknown;
}

interface CodePageProps {
  readonly tenantName: string;
  /** Protects against forms of other sites. */
  readonly xsrf: string;
  /** The code as the user typed it. */
  readonly typed: string;
  readonly fault?: string | undefined;
}

interface ConfirmPageProps extends Pick<CodePageProps, 'tenantName' | 'xsrf'> {
  readonly applicationName: string;
  readonly userCode: string;
}

/** Errors after which the user can type a code again, by the engine's name. */
const CODE_FAULTS: Readonly<Record<string, string>> = {
  NoCodeError: 'Enter the code that your device shows.',
  NotFoundError: 'This code is unknown. Compare it with the code that your device shows.',
  ExpiredError: 'This code has expired. Start again on your device, and enter the new code.',
  AlreadyUsedError:
    'This code was used before. Start again on your device, and enter the new code.',
};

/**
 * The engine's device flow (RFC 8628) with the pages of `/activate`. Before the sign-in the user confirms
 * the application and the code: a link alone must not connect the device of an attacker (§5.4).
 */
export function deviceFlow({ tenant, tenantName }: AppContext): DeviceFlow {
  const { charset, mask } = tenant.tenant.device_flow;
  const showConfirmation = (ctx: Shown, xsrf: string, clientId: string, userCode: string) => {
    const applicationName = findApplication(tenant, clientId)?.name ?? clientId;
    showPage(ctx, confirmPage({ tenantName, xsrf, applicationName, userCode }));
  };
  return {
    enabled: true,
    charset: charset === 'digits' ? 'digits' : 'base-20',
    mask,
    async userCodeInputSource(ctx, form, _out, error) {
      const xsrf = xsrfOf(form);
      const linked = String(ctx.state.userCode ?? '');
      if (error !== undefined && dropLostSession(ctx)) ctx.redirect(ROUTES.code_verification);
      else if (error !== undefined) showFault(ctx, tenantName, xsrf, error);
      else if (linked === '') showPage(ctx, codePage({ tenantName, xsrf, typed: '' }));
      else {
        const code = await findWaiting(ctx, linked);
        if (code?.clientId === undefined) {
          showFault(ctx, tenantName, xsrf, { name: 'NotFoundError', userCode: linked });
        } else showConfirmation(ctx, xsrf, code.clientId, masked(code.userCode, mask));
      }
    },
    userCodeConfirmSource(ctx, form, { clientId }, _deviceInfo, userCode) {
      showConfirmation(ctx, xsrfOf(form), clientId, userCode);
    },
    successSource(ctx) {
      showPage(ctx, connectedPage(tenantName, ctx.oidc.client?.clientName ?? ''));
    },
  };
}

/** Moves the code from the URL to the state: the engine would post it by an inline script, on its own page. */
export function moveUserCode(): Middleware {
  return function moveUserCode(ctx: Context, next: Next) {
    if (ctx.method === 'POST') return next();
    [ctx.state.userCode] = [ctx.query.user_code].flat();
    ctx.querystring = '';
    return next();
  };
}

/** Finds a code that waits for its user. @throws TooManyCodes */
async function findWaiting({ oidc }: KoaContextWithOIDC, typed: string) {
  const userCode = typed.toUpperCase().replace(/\W/g, '');
  const code = await oidc.provider.DeviceCode.findByUserCode(userCode);
  const isWaiting = code && !code.error && !code.accountId && !code.inFlight;
  return isWaiting ? code : undefined;
}

/** Drops a session that was never stored, and returns whether it did. The engine would store it, and answer 500. */
function dropLostSession({ oidc: { session } }: KoaContextWithOIDC): boolean {
  if (session === undefined || session.exp !== undefined) return false;
  Object.assign(session, { touched: false });
  return true;
}

/** Shows the form again if another code can help; otherwise the device gets the error too. */
function showFault(
  ctx: KoaContextWithOIDC,
  tenantName: string,
  xsrf: string,
  error: EngineError,
): void {
  const { name, error_description: description, expose, userCode: typed = '' } = error;
  const { wait } = error as Partial<TooManyCodes>;
  const isForm =
    ctx.oidc.route === 'code_verification' && ctx.oidc.entities.DeviceCode === undefined;
  let fault = CODE_FAULTS[name];
  if (wait !== undefined) {
    ctx.set('Retry-After', String(wait));
    fault = description;
  } else if (isForm && name === 'InvalidRequest') {
    fault = 'This page was open for too long. Enter the code again.';
  }
  if (fault !== undefined) {
    showPage(ctx, codePage({ tenantName, xsrf, typed, fault }), wait === undefined ? 400 : 429);
    return;
  }
  // After the end of a sign-in its last page can be loaded again: the device is connected then.
  if (name === 'SessionNotFound') {
    const text =
      'It took too long, or was finished before. If your device does not continue, start again on it.';
    showError(ctx, { tenantName, title: 'This sign-in has ended', text });
    return;
  }
  const title = 'Your device is not connected';
  if (name !== 'AbortedError') {
    const text = expose ? description : 'The reason is in the log of this server.';
    showError(ctx, { tenantName, title, text: text ?? 'Start again on your device.' });
    return;
  }
  const refusal = error.cause ?? new errors.AccessDenied(NOT_CONFIRMED);
  const { error_description = '' } = refusal as Partial<EngineError>;
  const isCanceled = error.cause === undefined;
  const text = isCanceled ? 'You canceled it. You can close this page.' : error_description;
  // The engine emits no event when the user cancels or is refused.
  (ctx.oidc.provider as EventEmitter).emit('authorization.error', ctx, refusal);
  showError(ctx, { tenantName, title, text }, isCanceled ? 200 : 403);
}

function masked(userCode: string, mask: string): string {
  const letters = [...userCode];
  return mask.replace(/\*/g, () => letters.shift() ?? '');
}

/** Page that asks for the code; it posts `user_code` to `/activate`. */
function codePage({ tenantName, xsrf, typed, fault }: CodePageProps): VNode {
  return (
    <Layout
      title="Connect a device"
      tenantName={tenantName}
      lead="Enter the code that your device shows."
    >
      <FaultText text={fault} />
      <form method="post" action={ROUTES.code_verification} class="fields">
        <input type="hidden" name="xsrf" value={xsrf} />
        <label>
          Code
          <input
            name="user_code"
            class="user-code"
            value={typed}
            autocomplete="off"
            autocapitalize="characters"
            spellcheck={false}
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

/** Page that asks whether it is the user's own device; it posts `confirm` or `abort` to `/activate`. */
function confirmPage({ tenantName, xsrf, applicationName, userCode }: ConfirmPageProps): VNode {
  return (
    <Layout
      title="Confirm your device"
      tenantName={tenantName}
      heading={`Connect ${applicationName}`}
      lead="Does your device show this code?"
    >
      <p class="user-code">{userCode}</p>
      <p class="advice">
        Confirm only if you have the device in front of you, and started this yourself. If someone
        sent you the code, that person gets access to your account.
      </p>
      <form method="post" action={ROUTES.code_verification} class="answers">
        <input type="hidden" name="xsrf" value={xsrf} />
        <input type="hidden" name="user_code" value={userCode} />
        <button type="submit" name="confirm" value="yes">
          Confirm
        </button>
        <button type="submit" name="abort" value="yes" class="quiet">
          Cancel
        </button>
      </form>
    </Layout>
  );
}

function connectedPage(tenantName: string, applicationName: string): VNode {
  return (
    <Layout
      title="Device connected"
      tenantName={tenantName}
      heading="Your device is connected"
      lead={`You can close this page. ${applicationName} continues by itself.`}
    />
  );
}
