import type { Auth, SignInOptions } from '@koa-oauth/resource-server';
import type { ParameterizedContext } from 'koa';
import type { z } from 'zod';
import type { ContactsClaims } from './access-token.ts';

export const SCOPES = {
  'read:contacts': 'Read contacts',
  'create:contacts': 'Add contacts',
  'update:contacts': 'Change contacts',
  'delete:contacts': 'Delete contacts',
  'read:activity': 'See who changed what',
} as const;

export type Scope = keyof typeof SCOPES;

/** Access that an operation needs. An empty object needs a valid token and nothing more. */
export interface Needs {
  readonly scope?: Scope;
  /** A word that the custom claim `roles` must contain. */
  readonly role?: string;
  /** The strength or age of the sign-in (RFC 9470). Undefined: any. */
  readonly signIn?: SignInOptions | undefined;
}

export interface Answer {
  readonly description: string;
  readonly schema?: z.ZodType;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Body<Schema extends z.ZodType> {
  readonly types: readonly string[];
  readonly schema: Schema;
}

export interface State {
  readonly auth: Auth<ContactsClaims>;
}

export type Context = ParameterizedContext<State>;

export interface Input<Query, Payload> {
  /** The `id` of the path, a UUID in lower case. Empty when the path has none. */
  readonly id: string;
  readonly query: Query;
  readonly body: Payload;
}

/** An operation of the API: source of its route, checks, access tests and part of the OpenAPI document. */
export interface Operation {
  readonly id: string;
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** In the notation of OpenAPI: `/contacts/{id}`. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  /** Undefined for an operation that needs no token. */
  readonly needs: Needs | undefined;
  readonly query?: z.ZodObject;
  readonly body?: Body<z.ZodType>;
  /** Request headers that it reads, and their descriptions. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly answers: Readonly<Record<number, Answer>>;
  readonly handle: (context: Context, input: Input<never, never>) => Promise<void> | void;
}

/** Declares an operation. The schemas of query and body type its handler's input. */
export function operation<
  Query extends z.ZodObject = z.ZodObject,
  Payload extends z.ZodType = z.ZodUndefined,
>(
  declaration: Omit<Operation, 'query' | 'body' | 'handle'> & {
    readonly query?: Query;
    readonly body?: Body<Payload>;
    readonly handle: (
      context: Context,
      input: Input<z.output<Query>, z.output<Payload>>,
    ) => Promise<void> | void;
  },
): Operation {
  return declaration;
}
