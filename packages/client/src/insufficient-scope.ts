import { OidcError } from './errors.ts';

/** What was asked of a token goes beyond what was granted: only consent to more helps. */
export class InsufficientScope extends OidcError {
  override readonly name = 'InsufficientScope';
  /** The scopes that are missing, with a space between them. */
  readonly scope: string;

  constructor(scope: string, cause?: unknown) {
    super('ERR_INSUFFICIENT_SCOPE', { detail: `not granted: ${scope}`, cause });
    this.scope = scope;
  }

  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), scope: this.scope };
  }
}
