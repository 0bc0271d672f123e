/** What a claim says, and who checked what about it. */
export interface ClaimText {
  readonly meaning: string;
  /** What was checked before the token was accepted; undefined when there is nothing to check. */
  readonly check?: string;
}

const BOTH: Readonly<Record<string, ClaimText>> = {
  sub: { meaning: 'You, as the issuer knows you. Together with “iss” it names one user.' },
  sid: { meaning: 'Your session at the issuer: a logout there can name it.' },
  jti: { meaning: 'This token’s own name.' },
};

const ID_TOKEN: Readonly<Record<string, ClaimText>> = {
  iss: { meaning: 'Who issued it.', check: 'is the issuer that this app is set up for' },
  aud: { meaning: 'Whom it is for: this app.', check: 'names this app’s client id' },
  azp: { meaning: 'The app it was issued to.', check: 'is this app' },
  exp: { meaning: 'When it ends.', check: 'had not passed' },
  iat: { meaning: 'When it was issued.', check: 'was a moment ago, not in the future' },
  nonce: { meaning: 'The nonce of the request.', check: 'is the one this sign-in was begun with' },
  at_hash: { meaning: 'Half of the access token’s hash.', check: 'fits the access token' },
  auth_time: { meaning: 'When you typed your password.', check: 'is as recent as was asked for' },
  acr: { meaning: 'How strongly you were authenticated.' },
  amr: { meaning: 'How you were authenticated.' },
  name: { meaning: 'From the scope profile.' },
  given_name: { meaning: 'From the scope profile.' },
  family_name: { meaning: 'From the scope profile.' },
  nickname: { meaning: 'From the scope profile.' },
  picture: { meaning: 'From the scope profile.' },
  updated_at: { meaning: 'From the scope profile.' },
  email: { meaning: 'From the scope email.' },
  email_verified: { meaning: 'Whether the issuer knows that the address is yours.' },
};

const ACCESS_TOKEN: Readonly<Record<string, ClaimText>> = {
  iss: { meaning: 'Who issued it.', check: 'is the issuer that the API trusts' },
  aud: { meaning: 'Whom it is for: the API.', check: 'names the API' },
  exp: { meaning: 'When it ends.', check: 'has not passed' },
  iat: { meaning: 'When it was issued.', check: 'is not in the future' },
  nbf: { meaning: 'From when on it counts.', check: 'is not in the future' },
  azp: { meaning: 'The app it was issued to.' },
  client_id: { meaning: 'The app it was issued to.' },
  scope: { meaning: 'What it allows.', check: 'contains what the route needs' },
  permissions: { meaning: 'What your roles allow, whether it was asked for or not.' },
  gty: { meaning: 'By which grant it was got.' },
};

/** Says what a claim is. Names that are URLs belong to whoever owns the URL. */
export function explainClaim(token: 'id_token' | 'access_token', name: string): ClaimText {
  const texts = { ...BOTH, ...(token === 'id_token' ? ID_TOKEN : ACCESS_TOKEN) };
  if (Object.hasOwn(texts, name)) return texts[name] as ClaimText;
  const isNamespaced = URL.canParse(name);
  const isOrganisation = isNamespaced && name.endsWith('/org_id');
  if (token === 'access_token' && isOrganisation) {
    const meaning = 'A custom claim: whose contacts you see.';
    return { meaning, check: 'is a text; contacts of no other organisation are shown' };
  }
  if (isNamespaced) return { meaning: 'A custom claim, added by an Action of the tenant.' };
  return { meaning: 'A claim of the issuer’s own.' };
}

const TIMES = new Set(['exp', 'iat', 'nbf', 'auth_time']);

/** A claim's value as a page shows it; times in words too. */
export function writeClaim(name: string, value: unknown): string {
  if (TIMES.has(name) && typeof value === 'number' && Number.isFinite(value)) {
    const date = new Date(value * 1000);
    if (!Number.isNaN(date.getTime())) return `${value} (${date.toISOString()})`;
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}
