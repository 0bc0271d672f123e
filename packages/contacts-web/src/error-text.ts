/** Texts of an error page. */
export interface ErrorText {
  readonly title: string;
  readonly what: string;
  /** Words of the authorization server. */
  readonly quote?: string | undefined;
  /** Sentence that says whether data was lost. */
  readonly lost: string;
  readonly todo: string;
  readonly action: Action;
}

interface Action {
  readonly label: string;
  readonly href: string;
  /** Fields of a form that is posted to `href`. Without them the action is a link. */
  readonly fields?: Readonly<Record<string, string>>;
}

interface ErrorFacts {
  readonly status: number;
  readonly code: string;
  /** True for a request that writes. */
  readonly isChange: boolean;
  /** Answer of an authorization server that refused the sign-in. */
  readonly reason: { error: string; errorDescription: string | undefined } | undefined;
  /** True when the user has a session, which a refused request for more does not end. */
  readonly isSignedIn: boolean;
  /** Fields of a request for the sign-in that is needed, if one can help. */
  readonly signInFields?: Readonly<Record<string, string>> | undefined;
  /** Page of contacts to return to after a sign-in. Default: the list. */
  readonly page?: string | undefined;
}

type PageText = Omit<ErrorText, 'lost' | 'quote'>;

const REPORT = 'If it happens again, send the reference below to the operator of this app.';
const SIGN_IN = { label: 'Sign in', href: '/login?returnTo=/contacts' };
const HOME = { label: 'Back to the start', href: '/' };
const CONTACTS = { label: 'Try again', href: '/contacts' };

const BAD_ANSWER: PageText = {
  title: 'This sign-in cannot be trusted',
  what: 'The answer of the authorization server failed a security check, so it was not accepted.',
  todo: `Try again. ${REPORT}`,
  action: SIGN_IN,
};
const ISSUER_DOWN: PageText = {
  title: 'Signing in is not possible right now',
  what: 'The authorization server cannot be reached. It checks who you are.',
  todo: 'Wait a moment, then try again.',
  action: { ...SIGN_IN, label: 'Try again' },
};

const BY_CODE: Readonly<Record<string, PageText>> = {
  ERR_UNEXPECTED_CALLBACK: {
    title: 'This sign-in cannot be finished',
    what: 'The sign-in was not started in this browser, was used before, or took more than ten minutes. For your safety it was not accepted.',
    todo: 'Start again with the button below.',
    action: SIGN_IN,
  },
  ERR_AUTHORIZATION_RESPONSE: BAD_ANSWER,
  ERR_ISSUER_MISMATCH: BAD_ANSWER,
  ERR_CODE_REFUSED: {
    title: 'This sign-in cannot be finished',
    what: 'The authorization server no longer knows this sign-in: it took too long, or was finished before.',
    todo: 'Start again with the button below.',
    action: { ...SIGN_IN, label: 'Sign in again' },
  },
  ERR_ID_TOKEN: BAD_ANSWER,
  ERR_TOKEN_RESPONSE: BAD_ANSWER,
  ERR_TOKEN_REQUEST_REFUSED: {
    ...BAD_ANSWER,
    what: 'The authorization server issued no tokens for this sign-in.',
  },
  ERR_PUSHED_REQUEST: {
    ...BAD_ANSWER,
    what: 'The authorization server did not accept the sign-in request of this app.',
  },
  ERR_AUTHORIZATION_REFUSED: {
    title: 'You were not signed in',
    what: 'The authorization server refused the sign-in.',
    todo: 'If you canceled it yourself, everything is fine. Otherwise try again.',
    action: SIGN_IN,
  },
  ERR_AUTHORIZATION_UNAVAILABLE: ISSUER_DOWN,
  ERR_ISSUER_UNAVAILABLE: ISSUER_DOWN,
  ERR_INVALID_METADATA: ISSUER_DOWN,
  ERR_ISSUER_UNSUITABLE: {
    title: 'Signing in is not possible here',
    what: 'The authorization server does not offer what this app needs to sign you in.',
    todo: 'Please send the reference below to the operator of this app.',
    action: HOME,
  },
  ERR_LOGIN_LOOP: {
    title: 'Signing in has no effect here',
    what: 'You were signed in several times, but this app could not use that.',
    todo: 'Please send the reference below to the operator of this app.',
    action: HOME,
  },
  ERR_TOKEN_ENDPOINT_UNAVAILABLE: ISSUER_DOWN,
  ERR_LOGIN_REQUIRED: {
    title: 'Please sign in',
    what: 'You need to sign in for this. Your session has ended, or you have not signed in yet.',
    todo: 'Sign in and try again.',
    action: SIGN_IN,
  },
  ERR_SESSION_STORE: {
    title: 'Your session cannot be read right now',
    what: "The database of this app's sessions does not answer.",
    todo: 'Wait a moment, then try again.',
    action: CONTACTS,
  },
  ERR_CROSS_SITE: {
    title: 'This came from another site',
    what: 'A page of another site tried to do something in your name. It was stopped.',
    todo: 'If you want to do it, start from here.',
    action: HOME,
  },
  ERR_API_UNAVAILABLE: {
    title: 'The contacts cannot be reached right now',
    what: 'The API that stores them does not answer. You are still signed in.',
    todo: 'Wait a moment, then try again.',
    action: CONTACTS,
  },
  ERR_STEP_UP_REQUIRED: {
    title: 'Please sign in again',
    what: 'This needs a more recent or a stronger sign-in, and yours did not become one.',
    todo: 'Signing in again may not help. Please send the reference below to the operator of this app.',
    action: { ...CONTACTS, label: 'Back to the contacts' },
  },
  ERR_INSUFFICIENT_CLAIMS: {
    title: 'You may not do this',
    what: 'The API allows this only to users with other claims, for example another role.',
    todo: 'An administrator can change your account.',
    action: HOME,
  },
  ERR_INSUFFICIENT_SCOPE: {
    title: 'You may not do this',
    what: 'The API refused. It needs a scope that you do not have.',
    todo: 'The page of your contacts lists your scopes and lets you ask for more.',
    action: { ...CONTACTS, label: 'See your permissions' },
  },
  ERR_API_TOKEN_REFUSED: {
    title: 'Please sign in again',
    what: 'The API did not accept the access token of your session.',
    todo: 'Sign in again to get a new one. If that does not help, this app and the API may have different settings for the issuer or the audience.',
    action: { ...SIGN_IN, label: 'Sign in again' },
  },
  ERR_API_REFUSED: {
    title: 'The API refused this request',
    what: 'This app cannot use its answer.',
    todo: `Try again. ${REPORT}`,
    action: CONTACTS,
  },
};

const NOTHING_MORE: PageText = {
  title: 'Nothing has changed',
  what: 'The authorization server refused the request of this app, or you declined it. You are still signed in.',
  todo: 'Go back to your contacts.',
  action: { ...CONTACTS, label: 'Back to the contacts' },
};
const GONE: PageText = {
  title: 'This contact is not there',
  what: 'Your organization has no such contact. Someone may have deleted it.',
  todo: 'Go back to the list.',
  action: { ...CONTACTS, label: 'See all contacts' },
};
const NOT_FOUND: PageText = {
  title: 'There is nothing here',
  what: 'This app has no page with this address.',
  todo: 'Check the address, or go to the start page.',
  action: HOME,
};
const BAD_REQUEST: PageText = {
  title: 'This request cannot be answered',
  what: 'The app cannot read this request, or does not accept it at this address.',
  todo: 'Go back and try again.',
  action: HOME,
};
const UNEXPECTED: PageText = {
  title: 'Something went wrong here',
  what: 'An unexpected error occurred. It is in the log.',
  todo: `Try again. ${REPORT}`,
  action: HOME,
};

function signInAgain(fields: Readonly<Record<string, string>>): PageText {
  return {
    title: 'Please sign in again',
    what: 'This needs a more recent or a stronger sign-in than yours.',
    todo: 'Sign in again. Then you are back at the form.',
    action: { label: 'Sign in again', href: '/sign-in-again', fields },
  };
}

/** Returns the texts for an error: what happened, whether data was lost, and what to do. */
export function explainError(facts: ErrorFacts): ErrorText {
  const { status, isChange, reason, page } = facts;
  const general = status === 404 ? NOT_FOUND : status < 500 ? BAD_REQUEST : UNEXPECTED;
  const text = textByCode(facts) ?? general;
  const lost = isChange
    ? // After a failure on the way it is unknown whether the API saved the data.
      `What you sent ${status < 500 ? 'was not' : 'may not have been'} saved.`
    : 'No data was lost.';
  const quote = reason && [reason.error, reason.errorDescription].filter(Boolean).join(': ');
  const { action } = text;
  if (!page || action.href !== SIGN_IN.href) return { ...text, lost, quote };
  const href = `/login?${new URLSearchParams({ returnTo: page })}`;
  return { ...text, lost, quote, action: { ...action, href } };
}

function textByCode({ status, code, isSignedIn, signInFields }: ErrorFacts): PageText | undefined {
  if (signInFields) return signInAgain(signInFields);
  if (code === 'ERR_API_REFUSED' && status === 404) return GONE;
  if (code === 'ERR_AUTHORIZATION_REFUSED' && isSignedIn) return NOTHING_MORE;
  return Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined;
}
