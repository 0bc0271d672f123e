import type { Auth } from '@koa-oauth/resource-server';
import type { ParameterizedContext } from 'koa';
import type { z } from 'zod';
import type { ContactsClaims } from './caller.ts';

export const SCOPES = {
  'read:contacts': 'Read contacts',
  'create:contacts': 'Add contacts',
  'update:contacts': 'Change contacts',
  'delete:contacts': 'Delete contacts',
  'read:activity': 'See who changed what',
} as const;

export type Scope = keyof typeof SCOPES;

/** What a request must bring. */
export interface Needs {
  readonly scope?: Scope;
  /** A word that the custom claim `roles` must contain. */
  readonly role?: string;
}

export interface Answer {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** Names of its headers, and what they say. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Body<Schema extends z.ZodType> {
  readonly types: readonly string[];
  readonly schema: Schema;
}

export type Context = ParameterizedContext<{ auth: Auth<ContactsClaims> }>;

/** What a request brought, checked. */
export interface Input<Query, Payload> {
  /** The path's `id`, a UUID; empty where the path has none. */
  readonly id: string;
  readonly query: Query;
  readonly body: Payload;
}

/**
 * One operation of the API, declared once: the router, the checks before it, the tests of who may do
 * what, and the OpenAPI document are all made from this.
 */
export interface Operation {
  readonly id: string;
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** As OpenAPI writes it: `/contacts/{id}`. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  /** Undefined for an operation that is open to all. */
  readonly needs: Needs | undefined;
  readonly query?: z.ZodObject;
  readonly body?: Body<z.ZodType>;
  /** Headers that it reads, and what they do. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly answers: Readonly<Record<number, Answer>>;
  readonly handle: (context: Context, input: Input<never, never>) => Promise<void> | void;
}

/** Declares an operation, so that its handler gets what its schemas give out. */
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
