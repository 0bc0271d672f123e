import type { ScopeChanges } from '../claims/scope-changes.ts';
import type { TransactionMetadata } from './transaction-metadata.ts';
import type { MetadataChanges } from './user-metadata.ts';

/** How a user proved who they are, and when (ISO 8601). */
export interface AuthenticationMethod {
  readonly name: string;
  readonly timestamp: string;
}

/** Where the user is sent in the middle of a login, and by what. */
export interface Redirect {
  /** Without `state`, which is added when the user goes there. */
  readonly url: string;
  /** The place of the Action among the Actions; undefined when the rules did it. */
  readonly action?: { readonly index: number; readonly name: string } | undefined;
}

/** What all rules and post-login Actions together made of one login. */
export interface ActionOutcome {
  /** Custom claims of the access token. */
  readonly accessToken: Readonly<Record<string, unknown>>;
  /** Custom claims of the ID token and of the userinfo answer. */
  readonly idToken: Readonly<Record<string, unknown>>;
  /** Changes to the access token's scope; undefined without any. */
  readonly scope?: ScopeChanges;
  /** Changes to the user's metadata; undefined without any. */
  readonly metadata?: MetadataChanges;
  /** Metadata of the transaction; undefined without any. */
  readonly transaction?: TransactionMetadata;
  /** Ways of authentication that Actions recorded; undefined without any. */
  readonly methods?: readonly AuthenticationMethod[];
  /** Where the user is to go before the login goes on; undefined when it goes on. */
  readonly redirect?: Redirect;
  /** Why the login is refused; undefined when it is not. */
  readonly denied?: string;
}

/** The outcome of a login without Actions. */
export const NOTHING: ActionOutcome = { accessToken: {}, idToken: {} };
