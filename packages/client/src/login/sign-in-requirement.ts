import { scopeParameter } from '../oauth/scope.ts';

/** What a sign-in must have brought beside the user. */
export interface SignInRequirement {
  /** Seconds since the user last proved who they are (`auth_time`), `clockTolerance` aside. */
  maxAge?: number;
  /** The `acr` that the ID token must have: one of these, with spaces between them. */
  acr?: string;
  /** Scopes that must have been granted, with spaces between them. */
  scope?: string;
}

const NAMES = ['maxAge', 'acr', 'scope'];
const WORDS = /^[\x21-\x7e]+( [\x21-\x7e]+)*$/;

/** What is wrong with a requirement, each fault a sentence: a name misspelt would let anyone in. */
export function requirementFaults(requirement: SignInRequirement): string[] {
  const { maxAge, acr, scope } = requirement;
  const faults: string[] = [];
  if (maxAge !== undefined && !(Number.isSafeInteger(maxAge) && maxAge >= 0)) {
    faults.push('maxAge must be a whole number of seconds, 0 or more');
  }
  if (acr !== undefined && !(typeof acr === 'string' && WORDS.test(acr))) {
    faults.push('acr must be values with one space between them');
  }
  if (scope !== undefined && !isScope(scope)) {
    faults.push('scope must be scopes with spaces between them');
  }
  const unknown = Object.keys(requirement).filter((name) => !NAMES.includes(name));
  if (unknown.length > 0) faults.push(`unknown: ${unknown.join(', ')}`);
  return faults;
}

function isScope(scope: unknown): boolean {
  try {
    return typeof scope === 'string' && scopeParameter(scope) !== '';
  } catch {
    return false;
  }
}
