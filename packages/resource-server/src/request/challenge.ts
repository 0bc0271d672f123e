/** Parameters of a `Bearer` challenge (RFC 6750 §3, RFC 9728 §5.1), in the order they are sent. */
export interface ChallengeParameters {
  readonly realm?: string;
  readonly error?: 'invalid_request' | 'invalid_token' | 'insufficient_scope';
  readonly error_description?: string;
  readonly scope?: string;
  readonly resource_metadata?: string;
}

const ORDER = ['realm', 'error', 'error_description', 'scope', 'resource_metadata'] as const;

/**
 * Builds the value of `WWW-Authenticate`. Every character that RFC 6750 §3 doesn't allow in these
 * parameters is replaced, so no text can break out of its quotes or out of the header.
 */
export function buildChallenge(parameters: ChallengeParameters): string {
  const pairs: string[] = [];
  for (const name of ORDER) {
    const value = parameters[name];
    if (value !== undefined) pairs.push(`${name}="${headerSafe(value)}"`);
  }
  return `Bearer ${pairs.join(', ')}`;
}

function headerSafe(text: string): string {
  return text.replaceAll('"', "'").replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '?');
}
