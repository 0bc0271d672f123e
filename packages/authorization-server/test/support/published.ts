/** An Action or a rule as people publish it, with logins and their expected effect. */
export interface Published {
  readonly kind: 'action' | 'rule' | 'machine';
  readonly code: string;
  /** Sections of the tenant file, merged into the demo tenant's. */
  readonly tenant?: Readonly<Record<string, unknown>>;
  /** Members of the user Alice. */
  readonly user?: object;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly dependencies?: readonly { readonly name: string; readonly version: string }[];
  /** One after the other at the same server. */
  readonly logins: readonly Login[];
}

interface Login {
  readonly user?: string;
  readonly params?: Readonly<Record<string, string>>;
  /** Section `event` of the tenant file, from this login on. */
  readonly event?: object;
  /** Fields that the other site sends back when the Action or rule redirects. */
  readonly answers?: (query: URLSearchParams) => Promise<Record<string, string>>;
  /** Refreshes after the login, and expects the claims of the refreshed ID token. */
  readonly refresh?: boolean;
  /** Claims of the namespace, in the ID token and the access token together; or the refusal. */
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly scope?: string;
  readonly amr?: readonly string[];
  readonly denied?: RegExp;
}

const berlin = { request: { geoip: { countryCode: 'DE', latitude: 52.52, longitude: 13.4 } } };
const sydney = { request: { geoip: { countryCode: 'AU', latitude: -33.87, longitude: 151.2 } } };

const NAMESPACE = { NAMESPACE: 'https://x.example/' };
const isWeekend = [0, 6].includes(new Date().getUTCDay());

const action = (body: string): { kind: 'action'; code: string } => ({
  kind: 'action',
  code: `/**
 * @param {Event} event - Details about the user and the context in which they are logging in.
 * @param {PostLoginAPI} api - Interface whose methods can be used to change the login.
 */
exports.onExecutePostLogin = async (event, api) => {
${body}
};`,
});

const rule = (body: string): { kind: 'rule'; code: string } => ({
  kind: 'rule',
  code: `function (user, context, callback) {\n${body}\n}`,
});

/** @param sites addresses of other servers: an API with a token endpoint. */
export function publishedSources(sites: { readonly api: string }): Record<string, Published> {
  return {
    'Action: roles to claims': {
      ...action(`
  const namespace = event.secrets.NAMESPACE;
  if (event.authorization) {
    api.idToken.setCustomClaim(\`\${namespace}roles\`, event.authorization.roles);
    api.accessToken.setCustomClaim(\`\${namespace}roles\`, event.authorization.roles);
  }`),
      secrets: NAMESPACE,
      logins: [{ claims: { roles: ['admin'] } }, { user: 'bob', claims: { roles: ['reader'] } }],
    },
    'Action: allow-list by domain': {
      ...action(`
  const allowed = event.secrets.DOMAINS.split(',');
  const domain = event.user.email?.split('@')[1]?.toLowerCase();
  if (!domain || !allowed.includes(domain)) return api.access.deny('Access is limited to ' + allowed.join(' and '));`),
      secrets: { DOMAINS: 'example.org,example.net' },
      logins: [{ denied: /^Access is limited to example\.org and example\.net$/ }],
    },
    'Action: only verified addresses': {
      ...action(`
  if (!event.user.email_verified) api.access.deny(\`Please verify \${event.user.email}.\`);`),
      user: { email_verified: false },
      logins: [{ denied: /^Please verify alice@example\.com\.$/ }, { user: 'bob', claims: {} }],
    },
    'Action: a second factor by role': {
      ...action(`
  const needed = event.authorization?.roles?.includes('admin');
  const done = event.authentication?.methods?.some((method) => method.name === 'mfa');
  if (!needed || done) return;
  const enrolled = event.user.enrolledFactors?.filter((factor) => factor.type !== 'email') ?? [];
  if (enrolled.length > 0) api.authentication.challengeWithAny(enrolled.map(({ type }) => ({ type })));
  else api.authentication.enrollWithAny([{ type: 'otp' }, { type: 'webauthn-roaming' }]);`),
      logins: [{ amr: ['mfa'] }, { amr: ['mfa'] }, { user: 'bob', claims: {} }],
    },
    'Action: a second factor by acr_values': {
      ...action(`
  const wanted = event.transaction?.acr_values ?? [];
  if (wanted.includes('http://schemas.openid.net/pape/policies/2007/06/multi-factor')) {
    api.multifactor.enable('any', { allowRememberBrowser: false });
  }`),
      logins: [
        { claims: {} },
        {
          params: { acr_values: 'http://schemas.openid.net/pape/policies/2007/06/multi-factor' },
          amr: ['mfa'],
        },
      ],
    },
    'Action: a second factor by risk': {
      ...action(`
  const risk = event.authentication?.riskAssessment;
  if (risk && risk.confidence !== 'high') api.multifactor.enable('any', { allowRememberBrowser: true });`),
      logins: [
        { claims: {} },
        {
          event: { authentication: { riskAssessment: { confidence: 'low', assessments: {} } } },
          amr: ['mfa'],
        },
      ],
    },
    'Action: enrich from an API with a timeout': {
      ...action(`
  let plan = 'unknown';
  try {
    const url = \`\${event.secrets.API}/plans/\${encodeURIComponent(event.user.email)}\`;
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    if (response.ok) plan = (await response.json()).plan;
  } catch (error) {
    console.log('no plan', error.name);
  }
  api.accessToken.setCustomClaim('https://x.example/plan', plan);`),
      secrets: { API: sites.api },
      logins: [{ claims: { plan: 'gold' } }],
    },
    'Action: enrich from an API that is too slow': {
      ...action(`
  try {
    const signal = AbortSignal.timeout(50);
    const { plan } = await (await fetch(\`\${event.secrets.API}/slow\`, { signal })).json();
    api.accessToken.setCustomClaim('https://x.example/plan', plan);
  } catch {
    api.accessToken.setCustomClaim('https://x.example/plan', 'free');
  }`),
      secrets: { API: sites.api },
      logins: [{ claims: { plan: 'free' } }],
    },
    'Action: a machine token in the cache': {
      ...action(`
  let token = api.cache.get('management-token')?.value;
  if (!token) {
    const response = await fetch(\`\${event.secrets.API}/token\`, { method: 'POST' });
    const { access_token, expires_in } = await response.json();
    token = access_token;
    const result = api.cache.set('management-token', token, { ttl: expires_in * 1000 });
    if (result.type === 'error') console.log('cache failed', result.code);
  }
  api.idToken.setCustomClaim('https://x.example/token', token);`),
      secrets: { API: sites.api },
      logins: [{ claims: { token: 'token-1' } }, { user: 'bob', claims: { token: 'token-1' } }],
    },
    'Action: link accounts': {
      ...action(`
  if (event.user.identities.length > 1 || !event.user.email_verified) return;
  api.authentication.setPrimaryUser('auth0|primary');`),
      logins: [{ denied: /^api\.authentication\.setPrimaryUser is not available locally$/ }],
    },
    'Action: link accounts by the Management API': {
      ...action(`
  const { ManagementClient } = require('auth0');
  const management = new ManagementClient({ domain: event.secrets.DOMAIN });
  await management.usersByEmail.getByEmail({ email: event.user.email });`),
      dependencies: [{ name: 'auth0', version: '4.3.1' }],
      logins: [
        {
          denied:
            /^the module "auth0" is not available locally: run "npm install auth0@4\.3\.1" in the folder/,
        },
      ],
    },
    'Action: a module with its version': {
      ...action(`
  const slug = require('tiny-slug');
  api.idToken.setCustomClaim('https://x.example/slug', slug(event.user.name));`),
      dependencies: [{ name: 'tiny-slug', version: '1.2.0' }],
      logins: [{ claims: { slug: 'alice-adams' } }],
    },
    'Action: redirect to a form': {
      kind: 'action',
      code: `
exports.onExecutePostLogin = async (event, api) => {
  if (event.user.user_metadata.age || !api.redirect.canRedirect()) return;
  const token = api.redirect.encodeToken({
    secret: event.secrets.SHARED, expiresInSeconds: 60, payload: { email: event.user.email } });
  api.redirect.sendUserTo('https://forms.example.com/age', { query: { session_token: token } });
};
exports.onContinuePostLogin = async (event, api) => {
  const { age } = api.redirect.validateToken({ secret: event.secrets.SHARED, tokenParameterName: 'token' });
  if (age < 18) return api.access.deny('You are too young.');
  api.user.setUserMetadata('age', age);
  api.idToken.setCustomClaim('https://x.example/age', age);
};`,
      secrets: { SHARED: 'a-shared-secret-of-thirty-two-letters' },
      logins: [
        { answers: answerWith({ age: 12 }), denied: /^You are too young\.$/ },
        { answers: answerWith({ age: 42 }), claims: { age: 42 } },
        { claims: {} },
      ],
    },
    'Action: a consent form': {
      kind: 'action',
      code: `
exports.onExecutePostLogin = async (event, api) => {
  const { terms } = event.user.app_metadata;
  if (terms !== event.secrets.VERSION) api.redirect.sendUserTo('https://forms.example.com/terms');
};
exports.onContinuePostLogin = async (event, api) => {
  if (event.request.query.confirm !== 'yes') return api.access.deny('You must accept the terms.');
  api.user.setAppMetadata('terms', event.secrets.VERSION);
};`,
      secrets: { VERSION: '2026-01' },
      logins: [
        { answers: async () => ({ confirm: 'no' }), denied: /^You must accept the terms\.$/ },
        { answers: async () => ({ confirm: 'yes' }), claims: {} },
        { claims: {} },
      ],
    },
    'Action: a form of Auth0': {
      ...action(`
  if (!event.user.user_metadata.company) api.prompt.render('ap_company');`),
      logins: [{ denied: /^api\.prompt\.render is not available locally$/ }],
    },
    'Action: a counter in metadata': {
      ...action(`
  const count = (event.user.app_metadata.logins ?? 0) + 1;
  api.user.setAppMetadata('logins', count);
  api.user.setUserMetadata('last_ip', event.request.ip);
  api.idToken.setCustomClaim('https://x.example/logins', count);`),
      logins: [
        { claims: { logins: 1 } },
        { claims: { logins: 2 } },
        { user: 'bob', claims: { logins: 1 } },
      ],
    },
    'Action: a country gate': {
      ...action(`
  const blocked = ['AU', 'NZ'];
  if (blocked.includes(event.request.geoip.countryCode)) {
    return api.access.deny('Not available in ' + event.request.geoip.countryCode);
  }
  api.idToken.setCustomClaim('https://x.example/country', event.request.geoip.countryCode ?? 'unknown');`),
      logins: [
        { claims: { country: 'unknown' } },
        { event: berlin, claims: { country: 'DE' } },
        { event: sydney, denied: /^Not available in AU$/ },
      ],
    },
    'Action: impossible travel': {
      ...action(`
  const { latitude, longitude } = event.request.geoip;
  const last = event.user.app_metadata.last_login;
  const now = Date.now();
  if (last) {
    const rad = (degrees) => (degrees * Math.PI) / 180;
    const a = Math.sin(rad(latitude - last.latitude) / 2) ** 2
      + Math.cos(rad(latitude)) * Math.cos(rad(last.latitude)) * Math.sin(rad(longitude - last.longitude) / 2) ** 2;
    const kilometers = 12742 * Math.asin(Math.sqrt(a));
    const hours = Math.max((now - last.at) / 3600000, 0.1);
    if (kilometers / hours > 1000) return api.access.deny('Impossible travel');
  }
  api.user.setAppMetadata('last_login', { latitude, longitude, at: now });`),
      logins: [
        { event: berlin, claims: {} },
        { event: berlin, claims: {} },
        { event: sydney, denied: /^Impossible travel$/ },
      ],
    },
    'Action: a flag of the first login': {
      ...action(`
  api.idToken.setCustomClaim('https://x.example/is_new', event.stats.logins_count === 1);`),
      logins: [{ claims: { is_new: true } }, { claims: { is_new: false } }],
    },
    'Action: claims of the organization': {
      ...action(`
  if (!event.organization) return;
  const { name, display_name, metadata } = event.organization;
  api.idToken.setCustomClaim('https://x.example/organization', { name, display_name, tier: metadata.tier });`),
      tenant: {
        organizations: [
          {
            ...{ name: 'acme', display_name: 'Acme Ltd', metadata: { tier: 'gold' } },
            members: ['auth0|alice'],
          },
        ],
      },
      logins: [
        { claims: {} },
        {
          params: { organization: 'org_acme' },
          claims: { organization: { name: 'acme', display_name: 'Acme Ltd', tier: 'gold' } },
        },
      ],
    },
    'Action: claims by the metadata of the application': {
      ...action(`
  const { tier = 'none' } = event.client.metadata ?? {};
  api.accessToken.setCustomClaim(\`https://x.example/\${event.client.client_id}\`, tier);`),
      tenant: { client_metadata: { tier: 'internal' } },
      logins: [{ claims: { 'contacts-web': 'internal' } }],
    },
    'Action: an allow-list of addresses': {
      ...action(`
  const trusted = event.secrets.TRUSTED.split(',');
  const ip = event.request.ip.replace(/^::ffff:/, '');
  if (!trusted.some((prefix) => ip.startsWith(prefix))) return api.access.deny('This network is not trusted.');`),
      secrets: { TRUSTED: '10.,192.168.' },
      logins: [{ denied: /^This network is not trusted\.$/ }],
    },
    'Action: no access at the weekend': {
      ...action(`
  const day = new Date().getUTCDay();
  if (event.client.name === 'Contacts' && (day === 0 || day === 6)) api.access.deny('Closed at the weekend');`),
      logins: [isWeekend ? { denied: /^Closed at the weekend$/ } : { claims: {} }],
    },
    'Action: scopes by role, and not at a refresh': {
      ...action(`
  if (event.transaction?.protocol === 'oauth2-refresh-token') return;
  for (const scope of event.transaction.requested_scopes) {
    if (scope.startsWith('delete:') && !event.authorization.roles.includes('editor')) api.accessToken.removeScope(scope);
  }`),
      logins: [
        {
          params: { scope: 'openid read:contacts delete:contacts' },
          scope: 'openid read:contacts',
          claims: {},
        },
      ],
    },
    'Action: a refresh from another device is refused': {
      ...action(`
  const device = event.refresh_token?.device;
  if (!device) return;
  api.idToken.setCustomClaim('https://x.example/same', device.initial_ip === device.last_ip);
  if (device.last_asn !== device.initial_asn) api.refreshToken.revoke('The network changed.');`),
      logins: [
        { refresh: true, claims: { same: true } },
        { event: { request: { asn: '64500' } }, refresh: true, claims: { same: true } },
      ],
    },
    'Action: a short session for administrators': {
      ...action(`
  if (!event.authorization.roles.includes('admin')) return;
  api.session.setExpiresAt(Date.now() + 60 * 60 * 1000);
  api.session.setMetadata('kind', 'admin');
  api.idToken.setCustomClaim('https://x.example/session', typeof event.session.id);`),
      logins: [{ claims: { session: 'string' } }],
    },
    'Action: a parameter of its own in the query': {
      ...action(`
  const { campaign } = event.request.query;
  if (campaign) api.idToken.setCustomClaim('https://x.example/campaign', campaign);`),
      logins: [{ params: { campaign: 'spring' }, claims: { campaign: 'spring' } }, { claims: {} }],
    },
    'Action: fingerprints of the connection': {
      ...action(`
  if (event.security_context?.ja4 === 'a-bad-one') api.access.deny('This client is blocked.');`),
      logins: [
        { claims: {} },
        { event: { security_context: { ja4: 'a-bad-one' } }, denied: /^This client is blocked\.$/ },
      ],
    },
    'machine: claims by the metadata of the application': {
      kind: 'machine',
      code: `exports.onExecuteCredentialsExchange = async (event, api) => {
  if (event.request.geoip.countryCode === 'AU') return api.access.deny('invalid_request', 'Not from there.');
  api.accessToken.setCustomClaim('https://x.example/client', event.client.name);
};`,
      logins: [
        { claims: { client: 'Contacts command line' } },
        { event: sydney, denied: /^Not from there\.$/ },
      ],
    },
    'rule: roles to tokens': {
      ...rule(`
  const assigned = (context.authorization || {}).roles;
  context.idToken[configuration.NAMESPACE + 'roles'] = assigned;
  context.accessToken[configuration.NAMESPACE + 'roles'] = assigned;
  return callback(null, user, context);`),
      tenant: { rulesConfigs: [{ key: 'NAMESPACE', value: 'https://x.example/' }] },
      logins: [{ claims: { roles: ['admin'] } }],
    },
    'rule: allow-list by domain': {
      ...rule(`
  const whitelist = ['example.org'];
  const domain = user.email.split('@')[1];
  if (whitelist.indexOf(domain) === -1) return callback(new UnauthorizedError('Access denied.'));
  return callback(null, user, context);`),
      logins: [{ denied: /^Access denied\.$/ }],
    },
    'rule: an allow-list of addresses': {
      ...rule(`
  if (!['127.0.0.1', '::ffff:127.0.0.1', '::1'].includes(context.request.ip)) {
    return callback(new Error('Access denied from this IP address.'));
  }
  callback(null, user, context);`),
      logins: [{ claims: {} }],
    },
    'rule: a plan in metadata at the first login': {
      ...rule(`
  user.app_metadata = user.app_metadata || {};
  if (user.app_metadata.plan) {
    context.idToken['https://x.example/plan'] = user.app_metadata.plan;
    return callback(null, user, context);
  }
  user.app_metadata.plan = 'free';
  auth0.users.updateAppMetadata(user.user_id, user.app_metadata)
    .then(function () { callback(null, user, context); })
    .catch(callback);`),
      logins: [{ claims: {} }, { claims: { plan: 'free' } }],
    },
    'rule: the language in metadata': {
      ...rule(`
  user.user_metadata = user.user_metadata || {};
  const language = (context.request.query.ui_locales || 'en').split(' ')[0];
  auth0.users.updateUserMetadata(user.user_id, { language }).then(function (updated) {
    context.idToken['https://x.example/language'] = updated.user_metadata.language;
    callback(null, user, context);
  }, callback);`),
      logins: [{ params: { ui_locales: 'de' }, claims: { language: 'de' } }],
    },
    'rule: a cache in global': {
      ...rule(`
  global.published = global.published || { runs: 0 };
  global.published.runs += 1;
  context.idToken['https://x.example/runs'] = global.published.runs;
  callback(null, user, context);`),
      logins: [{ claims: { runs: 1 } }, { claims: { runs: 2 } }],
    },
    'rule: a module with its version': {
      ...rule(`
  const slug = require('tiny-slug@1.2.0');
  context.idToken['https://x.example/slug'] = slug(user.name);
  callback(null, user, context);`),
      logins: [{ claims: { slug: 'alice-adams' } }],
    },
    'rule: a module that is not there': {
      ...rule(`
  const request = require('request@2.56.0');
  request.get('https://example.com', function () { callback(null, user, context); });`),
      logins: [
        { denied: /^the module "request" is not available locally: run "npm install request@2/ },
      ],
    },
    'rule: a module that Auth0 has as a global': {
      ...rule(`
  request.get('https://example.com', function () { callback(null, user, context); });`),
      logins: [{ denied: /^request is not available locally: load it with require$/ }],
    },
    'rule: a second factor once in a session': {
      ...rule(`
  const methods = (context.authentication && context.authentication.methods) || [];
  const done = !!methods.find(function (method) { return method.name === 'mfa'; });
  if (!done) context.multifactor = { provider: 'any', allowRememberBrowser: false };
  callback(null, user, context);`),
      logins: [{ amr: ['mfa'] }],
    },
    'rule: the country of the request': {
      ...rule(`
  if (context.request.geoip) {
    context.idToken['https://x.example/country'] = context.request.geoip.country_code;
    context.idToken['https://x.example/latitude'] = context.request.geoip.latitude;
  }
  callback(null, user, context);`),
      logins: [{ event: berlin, claims: { country: 'DE', latitude: 52.52 } }],
    },
    'rule: link accounts by the Management API': {
      ...rule(`
  const headers = { Authorization: 'Bearer ' + auth0.accessToken };
  fetch(auth0.baseUrl + '/users-by-email', { headers }).then(function () { callback(null, user, context); }, callback);`),
      logins: [{ denied: /^auth0\.accessToken is not available locally$/ }],
    },
    'rule: redirect to a form': {
      ...rule(`
  if (context.protocol === 'redirect-callback') {
    context.idToken['https://x.example/color'] = context.request.query.color;
    return callback(null, user, context);
  }
  context.redirect = { url: 'https://forms.example.com/color' };
  callback(null, user, context);`),
      logins: [{ answers: async () => ({ color: 'red' }), claims: { color: 'red' } }],
    },
  };
}

/** Answers with a token of the shared secret, as the form's server does. */
function answerWith(claims: object) {
  return async (query: URLSearchParams): Promise<Record<string, string>> => {
    const { SignJWT } = await import('jose');
    const state = query.get('state') ?? '';
    const secret = new TextEncoder().encode('a-shared-secret-of-thirty-two-letters');
    const token = await new SignJWT({ ...claims, state })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1m')
      .sign(secret);
    return { token };
  };
}
