import { z } from 'zod';
import { ROUTES } from '../endpoints.ts';

const METADATA = '/.well-known/openid-configuration';
const ENDPOINTS: readonly string[] = [...Object.values(ROUTES), METADATA];
const MAX_DELAY_MS = 600_000;

/** A media type without parameters (RFC 9110 §8.3.1). */
const MEDIA_TYPE = /^[\w!#$&^.+-]{1,60}\/[\w!#$&^.+-]{1,60}$/;

const answers = {
  reset: z.literal(true).optional(),
  halfBody: z.literal(true).optional(),
  rateLimited: z.literal(true).optional(),
  loseRefreshResponse: z.literal(true).optional(),
  demandNonce: z.literal(true).optional(),
  refuseProof: z.literal(true).optional(),
  garbage: z.literal(true).optional(),
  contentType: z.string().regex(MEDIA_TYPE, 'give a media type, such as text/html').optional(),
  oversized: z.literal(true).optional(),
  emptyKeySet: z.literal(true).optional(),
  wrongKids: z.literal(true).optional(),
  otherIssuer: z.literal(true).optional(),
};
type Kind = 'status' | keyof typeof answers;

/** A fault has one of these, or only a delay. */
const KINDS = ['status', ...Object.keys(answers)] as Kind[];

const PROOF_ENDPOINTS = [ROUTES.token, ROUTES.userinfo, ROUTES.pushed_authorization_request];
/** Kinds that only some endpoints can have. */
const ENDPOINTS_OF: Partial<Record<Kind, readonly string[]>> = {
  loseRefreshResponse: [ROUTES.token],
  demandNonce: PROOF_ENDPOINTS,
  refuseProof: PROOF_ENDPOINTS,
  emptyKeySet: [ROUTES.jwks],
  wrongKids: [ROUTES.jwks],
  otherIssuer: [METADATA],
};

const faultSchema = z
  .strictObject({
    endpoint: z.enum(ENDPOINTS),
    times: z.int().min(1).max(1_000_000).default(1),
    every: z.int().min(1).max(1_000_000).optional(),
    status: z.int().min(400).max(599).optional(),
    retryAfter: z.int().min(0).max(86_400).optional(),
    delay: z.int().min(1).max(MAX_DELAY_MS).optional(),
    ...answers,
  })
  .check(({ value, issues }) => {
    const fault = (field: string, message: string): void => {
      issues.push({ code: 'custom', path: [field], message, input: value });
    };
    const [first, second] = KINDS.filter((kind) => value[kind] !== undefined);
    if (second !== undefined) fault(second, `give this or "${first}", not both`);
    if (first === undefined && value.delay === undefined) {
      fault('status', `give this or one of delay, ${KINDS.slice(1).join(', ')}`);
    }
    if (value.retryAfter !== undefined && value.status === undefined) {
      fault('retryAfter', 'give "status" with it');
    }
    const places = first && ENDPOINTS_OF[first];
    if (places !== undefined && !places.includes(value.endpoint)) {
      fault('endpoint', `give ${places.join(' or ')} with "${first}"`);
    }
  });

/** A failure that the next requests to one endpoint meet: one kind, a delay, or both. */
export interface Fault {
  /** Its path, such as `/oauth/token`. */
  readonly endpoint: string;
  /** Number of requests that meet it; default 1. */
  readonly times?: number | undefined;
  /** Interval in requests: 3 means the third, the sixth and so on; default 1. */
  readonly every?: number | undefined;
  /** 400 to 599, instead of an answer. */
  readonly status?: number | undefined;
  /** Seconds, with `status`: the header `Retry-After`. */
  readonly retryAfter?: number | undefined;
  /** Milliseconds before anything else happens. */
  readonly delay?: number | undefined;
  /** The connection is reset before the request is served. */
  readonly reset?: true | undefined;
  /** The request is served, and its answer breaks off in the middle. */
  readonly halfBody?: true | undefined;
  /** 429 with Auth0's `X-RateLimit-*` headers. */
  readonly rateLimited?: true | undefined;
  /** The refresh happens, the token rotates, and the client never gets the answer. */
  readonly loseRefreshResponse?: true | undefined;
  /** A DPoP proof without a nonce is answered `use_dpop_nonce`. */
  readonly demandNonce?: true | undefined;
  /** The answer is `invalid_dpop_proof`, whatever the proof. */
  readonly refuseProof?: true | undefined;
  /** The body is no JSON, under the type of the answer. */
  readonly garbage?: true | undefined;
  /** The answer comes under this media type, such as `text/html`. */
  readonly contentType?: string | undefined;
  /** The answer has one more member, of 8 MiB. */
  readonly oversized?: true | undefined;
  /** A key set without a key. */
  readonly emptyKeySet?: true | undefined;
  /** The keys of the key set have other `kid`s. */
  readonly wrongKids?: true | undefined;
  /** The metadata is that of another issuer. */
  readonly otherIssuer?: true | undefined;
}

/** A waiting fault with the number of requests that will still meet it. */
export interface WaitingFault extends Fault {
  readonly left: number;
}

/** A fault that can't be injected. */
export class InvalidFault extends Error {
  /** The field that is wrong. */
  readonly field: string;

  constructor(field: string, message: string) {
    super(`"${field}": ${message}`);
    this.name = 'InvalidFault';
    this.field = field;
  }
}

const MAX_WAITING = 1000;

export class Faults {
  /** `seen`: number of requests that the fault fitted. */
  #waiting: { readonly fault: Fault; left: number; seen: number }[] = [];

  /** @throws InvalidFault naming the field that is wrong. */
  add(given: Fault): void {
    const fault = checkFault(given);
    if (this.#waiting.length >= MAX_WAITING) {
      throw new InvalidFault('endpoint', `${MAX_WAITING} faults wait already`);
    }
    this.#waiting.push({ fault, left: fault.times, seen: 0 });
  }

  clear(): void {
    this.#waiting = [];
  }

  list(): WaitingFault[] {
    return this.#waiting.map(({ fault, left }) => ({ ...fault, left }));
  }

  /** Returns the first fault that is due at this endpoint and fits, and counts it as met. */
  consume(endpoint: string, fits: (fault: Fault) => boolean): Fault | undefined {
    const met = this.#waiting.find((one) => {
      if (one.fault.endpoint !== endpoint || !fits(one.fault)) return false;
      one.seen += 1;
      return one.seen % (one.fault.every ?? 1) === 0;
    });
    if (met === undefined) return undefined;
    met.left -= 1;
    if (met.left === 0) this.#waiting = this.#waiting.filter((one) => one !== met);
    return met.fault;
  }
}

function checkFault(given: unknown): z.output<typeof faultSchema> {
  const { success, data, error } = faultSchema.safeParse(given);
  if (success) return data;
  const [issue] = error.issues;
  if (issue?.code === 'unrecognized_keys') {
    throw new InvalidFault(String(issue.keys[0]).slice(0, 40), 'there is no such field');
  }
  throw new InvalidFault(String(issue?.path[0] ?? 'body'), issue?.message ?? 'wrong');
}
