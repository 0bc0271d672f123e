import { randomInt } from 'node:crypto';
import type { StateStore } from '../state/memory.ts';
import type { User } from '../tenant/tenant.ts';
import type { PostLoginEvent } from './login-event.ts';
import type { ActionOutcome, PostLoginDraft, SecondStep } from './login-outcome.ts';
import { thrownText } from './run.ts';

/** Types of factors that an Action can name ("Actions Triggers: post-login, API object"). */
const FACTORS = [
  'otp',
  'push-notification',
  'phone',
  'email',
  'webauthn-roaming',
  'webauthn-platform',
  'recovery-code',
];

/** Values of `provider` for `api.multifactor.enable` and `context.multifactor`. */
const PROVIDERS = ['any', 'duo', 'google-authenticator', 'guardian', 'none'];

const KIND = 'EnrolledFactors';
const MFA = 'mfa';

/** Auth0's text when no user waits in a browser. */
export const MFA_REQUIRED = 'Multifactor authentication required';

/** The user's answer to a second step. */
export interface ProvedStep {
  readonly code: string;
  readonly factor: string;
}

/** Factors of users: those in the tenant file, and those that were set up since. */
export class EnrolledFactors {
  readonly #store: StateStore;

  constructor(store: StateStore) {
    this.#store = store;
  }

  factorsOf(user: User): { type: string }[] {
    return factorsOf(user, this.#typesOf(user.user_id));
  }

  add(userId: string, types: readonly string[]): void {
    this.#store.write(KIND, userId, { types: [...new Set([...this.#typesOf(userId), ...types])] });
  }

  #typesOf(userId: string): string[] {
    return (this.#store.read(KIND, userId)?.content.types ?? []) as string[];
  }
}

/** Returns `event.user.enrolledFactors`. As at Auth0, a verified address is a factor. */
export function factorsOf(user: User, stored: readonly string[] = []): { type: string }[] {
  const { enrolledFactors: inFile = [], email_verified: hasAddress } = user;
  const added = [...stored, ...(hasAddress ? ['email'] : [])].filter(
    (type) => !inFile.some((factor) => factor.type === type),
  );
  return [...inFile, ...added.map((type) => ({ type }))];
}

/** Reads the arguments of a challenge or an enrollment. @throws Error naming the accepted types. */
export function readFactors(caller: string, first: unknown, options?: unknown): string[] {
  const { additionalFactors = [] } = (options ?? {}) as { additionalFactors?: unknown };
  const given = [first, additionalFactors].flat() as unknown[];
  const types = given.map((factor) => (factor as { type?: unknown } | null | undefined)?.type);
  // `push` is an older name of Auth0's.
  const named = types.map((type) => (type === 'push' ? 'push-notification' : type));
  for (const type of named) {
    if (typeof type === 'string' && FACTORS.includes(type)) continue;
    throw new Error(
      `${caller}: the type is "${thrownText(type)}": give one of ${FACTORS.join(', ')}`,
    );
  }
  if (named.length === 0) throw new Error(`${caller}: give at least one factor`);
  return [...new Set(named as string[])];
}

/** Adds a second step, unless it was proved in this login. Without a usable factor it denies. */
export function requestStep(
  draft: PostLoginDraft,
  event: Pick<PostLoginEvent, 'user'>,
  { kind, factors, after }: Pick<SecondStep, 'kind' | 'factors' | 'after'>,
): void {
  if (factors.some((type) => draft.proved?.includes(type))) return;
  const enrolled = event.user.enrolledFactors?.map(({ type }) => type) ?? [];
  const usable = factors.filter((type) => enrolled.includes(type) === (kind === 'challenge'));
  if (usable.length === 0) {
    const names = factors.join(', ');
    draft.denied ??=
      kind === 'challenge'
        ? `the user has not enrolled ${names}: enroll, or set enrolledFactors in the tenant file`
        : `the user has already enrolled ${names}`;
    return;
  }
  const code = String(randomInt(1_000_000)).padStart(6, '0');
  draft.steps = [...(draft.steps ?? []), { kind, factors: usable, code, after }];
}

/** Reads a provider and its options; undefined for `none`. @throws Error naming the providers. */
export function readMultifactor(
  caller: string,
  provider: unknown,
  remember: boolean,
): ActionOutcome['multifactor'] {
  if (provider === 'none') return undefined;
  if (typeof provider === 'string' && PROVIDERS.includes(provider)) return { remember };
  throw new Error(
    `${caller}: the provider is "${thrownText(provider)}": give one of ${PROVIDERS.join(', ')}`,
  );
}

/**
 * Adds the second step of `api.multifactor.enable`, which comes after all Actions. A factor that was proved
 * in this login makes it unnecessary, and one of the session too, if the browser may be remembered.
 */
export function withDeferredStep(outcome: ActionOutcome, event: PostLoginEvent): ActionOutcome {
  const { multifactor, denied, redirect, steps = [], proved = [] } = outcome;
  if (!multifactor || denied !== undefined || redirect !== undefined) return outcome;
  const known = event.authentication.methods.some(({ name }) => name === MFA);
  if (steps.length > 0 || proved.length > 0 || (multifactor.remember && known)) return outcome;
  const enrolled = event.user.enrolledFactors?.map(({ type }) => type) ?? [];
  // An e-mail address alone is not enough.
  const factors = enrolled.filter((type) => type !== 'email');
  const draft = { ...outcome } as PostLoginDraft;
  if (factors.length > 0) requestStep(draft, event, { kind: 'challenge', factors });
  else requestStep(draft, event, { kind: 'enroll', factors: ['otp'] });
  return draft;
}

/** Returns the outcome after the first step; undefined when the answer is for another step. */
export function afterStep(outcome: ActionOutcome, { code, factor }: ProvedStep) {
  const [step, ...steps] = outcome.steps ?? [];
  if (step?.code !== code || !step.factors.includes(factor)) return undefined;
  const method = { name: MFA, timestamp: new Date().toISOString() };
  const methods = (outcome.methods ?? []).filter(({ name }) => name !== MFA);
  const after: ActionOutcome = {
    ...outcome,
    steps,
    methods: [...methods, method],
    proved: [...(outcome.proved ?? []), factor],
    ...(step.kind === 'enroll' && { enrolled: [...(outcome.enrolled ?? []), factor] }),
  };
  return { step, after };
}
