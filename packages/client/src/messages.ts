import { type EndpointMessage, SECRET_NAME } from './oauth/token-endpoint.ts';

/**
 * One message of a login or of a refresh, for people to look at: as it was sent or received, with
 * every secret replaced by its length.
 *
 * @example
 * auth({ ...options, onMessage: (message: ClientMessage) => messages.push(message) });
 * const ofThisSession = messages.filter(({ loginId }) => loginId === ctx.oidc.loginId);
 */
export interface ClientMessage {
  /** Names the login that it belongs to; the session that this opened has it as `ctx.oidc.loginId`. */
  readonly loginId: string;
  readonly step:
    | 'pushed_authorization_request'
    | 'pushed_authorization_response'
    | 'authorization_request'
    | 'authorization_response'
    | 'token_request'
    | 'token_response'
    | 'refresh_request'
    | 'refresh_response';
  /** Milliseconds since 1970. */
  readonly at: number;
  /** URL of a request, without its query. */
  readonly url?: string;
  /** HTTP status of an endpoint's answer. */
  readonly status?: number;
  readonly parameters: Readonly<Record<string, string>>;
}

interface MessageOptions {
  onMessage: ((message: ClientMessage) => unknown) | undefined;
  /** Milliseconds since 1970. */
  now: () => number;
}

const JWT = /^eyJ[\w-]*\.[\w-]*\.[\w-]*/;
const MAX_TEXT_LENGTH = 1000;
const MAX_PARAMETERS = 40;

/**
 * Hands a message to the app's `onMessage`, secrets masked. A callback that throws, or whose promise
 * is rejected, has no effect.
 */
export function reportMessage(
  { onMessage, now }: MessageOptions,
  loginId: string,
  step: ClientMessage['step'],
  { url, status, parameters }: EndpointMessage,
): void {
  if (!onMessage) return;
  try {
    const message: ClientMessage = {
      loginId,
      step,
      at: now(),
      ...(url !== undefined && { url: withoutQuery(url) }),
      ...(status !== undefined && { status }),
      // Another server wrote it, perhaps nested too deep.
      parameters: maskParameters(isObjectOrList(parameters) ? parameters : {}),
    };
    Promise.resolve(onMessage(message)).catch(() => {});
  } catch {}
}

/** Replaces each secret with its length. */
export function maskParameters(
  parameters: Readonly<Record<string, unknown>>,
): ClientMessage['parameters'] {
  const entries = Object.entries(parameters).flatMap(([name, value]) => {
    if (value === undefined || value === null) return [];
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const isSecret = SECRET_NAME.test(name) || JWT.test(text) || isObjectOrList(value);
    const shown = isSecret ? `… (${text.length} characters)` : text.slice(0, MAX_TEXT_LENGTH);
    return [[name.slice(0, MAX_TEXT_LENGTH), shown]];
  });
  return Object.fromEntries(entries.slice(0, MAX_PARAMETERS));
}

function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

function isObjectOrList(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
