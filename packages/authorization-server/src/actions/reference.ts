import type { Trigger } from '../tenant/tenant.ts';

/** Source of a member: this server, `event` of the tenant file, or none. */
type Availability = 'served' | 'settable' | 'unavailable';

/** A member of Auth0's reference, such as `event.user.email`. */
export interface Member {
  /** The part of `event` or `api` that the member is in, such as `event.user`. */
  readonly part: string;
  readonly name: string;
  readonly availability: Availability;
}

type Part = Readonly<Partial<Record<Availability, string>>>;

const all = (served: string): Part => ({ served });
const none = (unavailable: string): Part => ({ unavailable });

const DEVICE = ['initial', 'last']
  .flatMap((when) => ['asn', 'ip', 'user_agent'].map((fact) => `device.${when}_${fact}`))
  .join(' ');

const PARTS_OF_BOTH: Readonly<Record<string, Part>> = {
  'event.agent': none('agent_id agent_metadata name'),
  'event.custom_domain': { settable: 'domain domain_metadata' },
  'event.resource_server': all('identifier'),
  'event.tenant': all('id'),
  'api.cache': all('delete get set'),
};

/** Members of both objects, from Auth0's pages "Event Object" and "API Object" of each trigger, of 2026. */
const REFERENCE: Readonly<Record<Trigger, Readonly<Record<string, Part>>>> = {
  'post-login': {
    ...PARTS_OF_BOTH,
    'event.authentication': { served: 'methods', settable: 'riskAssessment' },
    'event.authorization': all('roles'),
    'event.client': all('client_id metadata name refresh_token.policies'),
    'event.connection': all('id metadata name strategy'),
    'event.organization': all('id display_name metadata name'),
    'event.prompt': none('fields id vars'),
    'event.refresh_token': {
      served: `id client_id created_at ${DEVICE} expires_at idle_expires_at last_exchanged_at
        metadata resource_servers rotating session_id user_id`,
      unavailable: 'session_transfer',
    },
    'event.request': {
      served: 'body hostname ip language method query user_agent',
      settable: 'asn geoip',
    },
    'event.security_context': { settable: 'ja3 ja4' },
    'event.session': {
      served: `id authenticated_at clients cookie.mode created_at ${DEVICE} expires_at
        idle_expires_at last_interacted_at metadata updated_at user_id`,
      unavailable: 'actor session_transfer',
    },
    'event.session_transfer_token': none('client_id request scope'),
    'event.stats': all('logins_count'),
    'event.transaction': {
      served: `id acr_values correlation_id locale login_hint metadata prompt protocol redirect_uri
        requested_scopes response_mode response_type state ui_locales`,
      unavailable: `actor actor_token_type linking_id requested_authorization_details
        subject_token_type`,
    },
    'event.user': all(
      `app_metadata created_at email email_verified enrolledFactors family_name given_name
       identities last_password_reset multifactor name nickname phone_number phone_verified picture
       updated_at user_id user_metadata username`,
    ),
    'api.access': all('deny'),
    'api.accessToken': all('addScope removeScope setCustomClaim'),
    'api.authentication': {
      served: 'challengeWith challengeWithAny enrollWith enrollWithAny recordMethod',
      unavailable: 'setPrimaryUser',
    },
    'api.groups': none('getUserGroups hasGroupMembership'),
    'api.idToken': all('setCustomClaim'),
    'api.multifactor': all('enable'),
    'api.prompt': none('render'),
    'api.redirect': all('canRedirect encodeToken sendUserTo validateToken'),
    'api.refreshToken': all(
      'deleteMetadata evictMetadata revoke setExpiresAt setIdleExpiresAt setMetadata',
    ),
    'api.roles': none(
      'getUserEffectiveRoles getUserEffectiveRolesByIds getUserEffectiveRolesByNames',
    ),
    'api.rules': all('wasExecuted'),
    'api.samlResponse': none(
      `setAttribute setAudience setAuthnContextClassRef setCert setCreateUpnClaim setDestination
       setDigestAlgorithm setEncryptionAlgorithm setEncryptionCert setEncryptionPublicKey
       setIncludeAttributeNameFormat setIssuer setKey setLifetimeInSeconds setMapIdentities
       setMapUnknownClaimsAsIs setNameIdentifierFormat setNameIdentifierProbes
       setPassthroughClaimsWithNoMapping setRecipient setRelayState setSignatureAlgorithm
       setSignResponse setSigningCert setTypedAttributes`,
    ),
    'api.session': all(
      `deleteMetadata evictMetadata revoke setCookieMode setExpiresAt setIdleExpiresAt setMetadata`,
    ),
    'api.transaction': all('setMetadata'),
    'api.user': all('setAppMetadata setUserMetadata'),
    'api.validation': all('error'),
  },
  'credentials-exchange': {
    ...PARTS_OF_BOTH,
    'event.accessToken': all('customClaims scope'),
    'event.client': all('client_id metadata name'),
    'event.organization': none('id display_name metadata name'),
    'event.request': { served: 'body hostname ip language method user_agent', settable: 'geoip' },
    'event.transaction': {
      served: 'correlation_id requested_scopes',
      unavailable: 'target_scopes',
    },
    'api.access': all('deny'),
    'api.accessToken': all('setCustomClaim'),
    'api.transaction': none('addTargetScope clearTargetScopes removeTargetScope setTargetScopes'),
  },
};

// Made once, because each Action of each login needs both.
const GUARDED = forEachTrigger(guardedMembers);
const API_PARTS = forEachTrigger(apiParts);

/** Returns the members of both objects of a trigger, part by part. `scripts/src/docs.ts` writes them into a table. */
export function membersOf(trigger: Trigger): Member[] {
  return Object.entries(REFERENCE[trigger])
    .sort(([one], [other]) => compareParts(one, other))
    .flatMap(([part, members]) =>
      Object.entries(members).flatMap(([availability, names]) =>
        names
          .split(/\s+/)
          .map((name) => ({ part, name, availability: availability as Availability })),
      ),
    );
}

/** Returns the error for a member that only Auth0 has. */
function unavailableMember(member: string): Error {
  return new Error(`${member} is not available locally`);
}

/**
 * Makes reading an unavailable member of the event throw. Its getter is not enumerable: printing,
 * copying and spreading the event read no such member.
 */
export function guardEvent<E extends object>(trigger: Trigger, event: E): E {
  for (const { path, parents, name } of GUARDED[trigger]) {
    let parent: unknown = event;
    for (const one of parents) parent = (parent as Record<string, unknown> | undefined)?.[one];
    if (typeof parent !== 'object' || parent === null || name in parent) continue;
    Object.defineProperty(parent, name, {
      configurable: true,
      get() {
        throw unavailableMember(path);
      },
      set(this: object, value: unknown) {
        const own = { value, configurable: true, enumerable: true, writable: true };
        Object.defineProperty(this, name, own);
      },
    });
  }
  return event;
}

/** Creates an object with these members; reading any other one throws that it is not available. */
export function onlyMembers(path: string, members: Readonly<Record<string, unknown>>): object {
  return new Proxy(members, {
    get: (target, name, receiver) => {
      if (typeof name === 'symbol' || name in target) return Reflect.get(target, name, receiver);
      // `await` and `JSON.stringify` read these of any object.
      if (name === 'then' || name === 'toJSON') return undefined;
      throw unavailableMember(`${path}.${name}`);
    },
  });
}

/** Creates the `api` of a trigger from its served parts; the other parts have no member. */
export function createApi(
  trigger: Trigger,
  api: object,
  parts: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
): object {
  const guarded = API_PARTS[trigger].map((part) => [
    part,
    onlyMembers(`api.${part}`, parts[part] ?? {}),
  ]);
  return Object.assign(api, Object.fromEntries(guarded));
}

/** Returns the unavailable members of the event. A part counts as one if it has no available member. */
function guardedMembers(trigger: Trigger) {
  const paths = Object.entries(REFERENCE[trigger]).flatMap(([part, members]) => {
    const { served, settable, unavailable: names } = members;
    if (!part.startsWith('event.') || names === undefined) return [];
    if (served === undefined && settable === undefined) return [part];
    return names.split(/\s+/).map((name) => `${part}.${name}`);
  });
  return paths.map((path) => {
    const [, ...names] = path.split('.');
    return { path, parents: names.slice(0, -1), name: names.at(-1) ?? '' };
  });
}

function apiParts(trigger: Trigger): string[] {
  const parts = Object.keys(REFERENCE[trigger]).filter((part) => part.startsWith('api.'));
  return parts.map((part) => part.slice('api.'.length));
}

function forEachTrigger<T>(make: (trigger: Trigger) => T): Readonly<Record<Trigger, T>> {
  return {
    'post-login': make('post-login'),
    'credentials-exchange': make('credentials-exchange'),
  };
}

/** `event` comes before `api`. */
function compareParts(one: string, other: string): number {
  const [oneObject = '', otherObject = ''] = [one.split('.')[0], other.split('.')[0]];
  return otherObject.localeCompare(oneObject) || one.localeCompare(other);
}
