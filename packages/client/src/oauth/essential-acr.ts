/**
 * The authentication context classes of which the ID token must have one: those that the `claims`
 * parameter asks for as essential (OpenID Connect Core §5.5, §5.5.1.1). `acr_values` is a wish
 * (§3.1.2.1) and asks for none.
 *
 * @param claims the parameter, JSON
 * @returns undefined when none is asked for as essential
 * @throws TypeError when it is not such a parameter
 */
export function essentialAcr(claims: unknown): readonly string[] | undefined {
  if (claims === undefined) return undefined;
  const { id_token } = object(parse(claims));
  const { acr } = id_token === undefined || id_token === null ? {} : object(id_token);
  if (acr === undefined || acr === null) return undefined;
  const { essential, value, values } = object(acr);
  const wanted = values ?? (value === undefined ? undefined : [value]);
  if (essential !== true || wanted === undefined) return undefined;
  if (!Array.isArray(wanted) || !wanted.every((one) => typeof one === 'string')) throw malformed();
  return wanted;
}

function parse(claims: unknown): unknown {
  try {
    if (typeof claims === 'string') return JSON.parse(claims);
  } catch {}
  throw malformed();
}

function object(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed();
  return value as Record<string, unknown>;
}

function malformed(): TypeError {
  return new TypeError(
    'authorizationParams.claims must be JSON as OpenID Connect Core §5.5 has it',
  );
}
