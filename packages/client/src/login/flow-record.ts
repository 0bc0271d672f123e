/** One message of the flow, for people to look at: as it was sent or received, secrets masked. */
export interface FlowStep {
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
  /** Where it went, without a query; a response has none. */
  readonly url?: string;
  /** Of the answer of an endpoint. */
  readonly status?: number;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Keeps the messages of a flow, or none of them. */
export interface FlowRecord {
  /** In the order in which they went; undefined when nothing is to be kept. */
  readonly steps: readonly FlowStep[] | undefined;
  add(step: FlowStep['step'], message: FlowMessage): void;
}

interface FlowMessage {
  readonly url?: string;
  readonly status?: number;
  /** As they went; a body that is no object has none. */
  readonly parameters: unknown;
}

/** Values that open something, or did a moment ago. */
const SECRET_NAME =
  /(^|_)(assertion|code|invitation|otp|password|pin|secret|ticket|token|verifier)$|^id_token_hint$|^request$/i;
const JWT = /^eyJ[\w-]*\.[\w-]*\.[\w-]*/;
const MAX_LENGTH = 1000;
const MAX_PARAMETERS = 40;

/** @param now the clock: milliseconds since 1970 */
export function createFlowRecord(isKept: boolean, now: () => number): FlowRecord {
  const steps: FlowStep[] = [];
  return {
    steps: isKept ? steps : undefined,
    add(step, { url, status, parameters }) {
      if (!isKept) return;
      steps.push({
        step,
        at: now(),
        ...(url !== undefined && { url: withoutQuery(url) }),
        ...(status !== undefined && { status }),
        parameters: maskParameters(isObject(parameters) ? parameters : {}),
      });
    },
  };
}

/** Members as they may be shown: of a secret its length alone. */
export function maskParameters(
  parameters: Readonly<Record<string, unknown>>,
): FlowStep['parameters'] {
  const entries = Object.entries(parameters).flatMap(([name, value]) => {
    if (value === undefined || value === null) return [];
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const isSecret = SECRET_NAME.test(name) || JWT.test(text) || isObject(value);
    return [[name.slice(0, MAX_LENGTH), isSecret ? mask(text) : text.slice(0, MAX_LENGTH)]];
  });
  return Object.fromEntries(entries.slice(0, MAX_PARAMETERS));
}

/** The sign-in's steps, and of refreshes the last one: a session must not grow with its age. */
export function addRefresh(flow: readonly FlowStep[], steps: readonly FlowStep[]): FlowStep[] {
  return [...flow.filter(({ step }) => !step.startsWith('refresh_')), ...steps];
}

function mask(value: string): string {
  return `… (${value.length} characters)`;
}

function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
