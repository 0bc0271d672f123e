// Signs in to the page `/docs` as a public client: authorization code (RFC 6749 §4.1) with PKCE (RFC
// 7636). Only this page's memory has the access token. It asks for no refresh token.

/** Name of the pending sign-in in `sessionStorage`: state, verifier, and what came back. */
const PENDING = 'pending-sign-in';

const viewer = document.querySelector('openapi-explorer');
if (viewer) {
  ignoreForeignToken();
  preparePage(document.querySelector('#sign-in'));
} else {
  // The callback. The code goes through the storage, so that no other page has it in its address.
  const pending = takePending();
  if (pending) {
    sessionStorage.setItem(PENDING, JSON.stringify({ ...pending, answer: location.search }));
  }
  location.replace('../docs');
}

/**
 * Removes an answer of an authorization server from the address. The viewer, which runs after this script,
 * would take its token from any link, and the reader would act as someone else (RFC 6749 §10.12).
 */
function ignoreForeignToken() {
  const places = [location.search, location.hash.slice(1)];
  if (places.some((text) => new URLSearchParams(text).has('state'))) {
    history.replaceState(null, '', location.pathname);
  }
}

function preparePage(section) {
  const pending = takePending();
  if (!section) return;
  const status = section.querySelector('[role="status"]');
  const run = (step) =>
    step().catch((error) => {
      status.textContent = `The sign-in failed: ${error.message}.`;
    });
  section.querySelector('button').addEventListener('click', () => {
    run(() => startSignIn(section.dataset));
  });
  if (!pending?.answer) return;
  const loaded = new Promise((resolve) => {
    viewer.addEventListener('spec-loaded', resolve, { once: true });
  });
  run(async () => {
    status.textContent = 'Signing in …';
    const { token, scope } = await finishSignIn(section.dataset, pending);
    await loaded;
    await viewer.setAuthenticationConfiguration('accessToken', { token });
    status.textContent = `You are signed in with: ${scope || 'no scope'}.`;
    section.querySelector('button').textContent = 'Sign in again';
  });
}

/** Returns the pending sign-in, and removes it: each is used once. */
function takePending() {
  const text = sessionStorage.getItem(PENDING);
  sessionStorage.removeItem(PENDING);
  return text ? JSON.parse(text) : undefined;
}

async function startSignIn({ clientId, authorizationEndpoint, audience, scope }) {
  if (!isSecureContext) throw new Error('this page must be opened with https, or on localhost');
  const state = randomText();
  const verifier = randomText();
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  const url = new URL(authorizationEndpoint);
  const parameters = {
    response_type: 'code',
    client_id: clientId,
    redirect_uri: callbackURL(),
    scope,
    audience,
    state,
    code_challenge: base64url(new Uint8Array(digest)),
    code_challenge_method: 'S256',
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  sessionStorage.setItem(PENDING, JSON.stringify({ state, verifier }));
  location.assign(url);
}

async function finishSignIn({ clientId, issuer, tokenEndpoint, scope }, pending) {
  const answer = new URLSearchParams(pending.answer);
  const once = (name) => {
    const values = answer.getAll(name);
    // RFC 6749 §3.1: a parameter must not be repeated.
    if (values.length > 1) throw new Error(`the answer has ${name} twice`);
    return values[0];
  };
  if (once('state') !== pending.state) throw new Error('it was not started in this tab');
  // RFC 9207 §2.4.
  if ((once('iss') ?? issuer) !== issuer) throw new Error('the answer is of another issuer');
  if (once('error')) throw new Error(errorText(once('error')));
  const response = await fetch(tokenEndpoint, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: once('code') ?? '',
      redirect_uri: callbackURL(),
      client_id: clientId,
      code_verifier: pending.verifier,
    }),
    credentials: 'omit',
    redirect: 'error',
  }).catch(() => {
    throw new Error('the token endpoint cannot be reached, or does not allow this origin (CORS)');
  });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(errorText(body?.error));
  const { access_token: token, token_type: type } = body ?? {};
  if (typeof token !== 'string' || !/^bearer$/i.test(type)) {
    throw new Error('the token endpoint sent no Bearer token');
  }
  // RFC 6749 §5.1: without `scope` it is the requested one.
  return { token, scope: typeof body.scope === 'string' ? body.scope : scope };
}

/** Returns a text with the error code of the authorization server, if it has the form of one. */
function errorText(code) {
  const known = /^[a-z_]{1,50}$/.test(code) ? ` (${code})` : '';
  return `the authorization server refused it${known}`;
}

/** The address of the callback, below the address that this page has in the browser. */
function callbackURL() {
  return new URL('docs/callback', location.href).href;
}

function randomText() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

function base64url(bytes) {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
