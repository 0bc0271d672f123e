/** An error in words for the person in front of it. */
export interface ErrorText {
  readonly title: string;
  readonly what: string;
  /** What the other side said of it: shown as a quotation. */
  readonly quote?: string | undefined;
  readonly lost: string;
  readonly todo: string;
  readonly action: { readonly label: string; readonly href: string };
}

interface Facts {
  readonly status: number;
  readonly code: string;
  /** Whether the request was to change something. */
  readonly isChange: boolean;
  /** What the authorization server answered, when it refused the sign-in. */
  readonly reason: { error: string; errorDescription: string | undefined } | undefined;
}

type Text = Omit<ErrorText, 'lost' | 'quote'>;

const SIGN_IN = { label: 'Sign in', href: '/login?returnTo=/contacts' };
const HOME = { label: 'Back to the start', href: '/' };
const CONTACTS = { label: 'Try again', href: '/contacts' };

const UNEXPECTED_CALLBACK: Text = {
  title: 'This sign-in cannot be finished',
  what: 'The answer to a sign-in arrived that was not started in this browser, was used before, or took more than ten minutes. For your safety it was not accepted.',
  todo: 'Start over with the button below; it takes a few seconds.',
  action: SIGN_IN,
};
const CODE_REFUSED: Text = {
  title: 'This sign-in cannot be finished',
  what: 'The authorization server no longer knows this sign-in: it took too long, or was finished before.',
  todo: 'Start over with the button below; it takes a few seconds.',
  action: { ...SIGN_IN, label: 'Sign in again' },
};
const BAD_ANSWER: Text = {
  title: 'This sign-in cannot be trusted',
  what: 'What came back from the sign-in does not pass the checks that keep it safe, so it was not accepted.',
  todo: 'Try once more. If it happens again, tell whoever runs this app, with the reference below.',
  action: SIGN_IN,
};
const ISSUER_DOWN: Text = {
  title: 'Signing in is not possible right now',
  what: 'The authorization server, which knows who you are, cannot be reached. This app itself is up.',
  todo: 'Wait a moment, then try again.',
  action: { ...SIGN_IN, label: 'Try again' },
};
const SIGNED_OUT: Text = {
  title: 'Please sign in',
  what: 'This needs you to be signed in, and your session has ended or never began.',
  todo: 'Sign in and try again.',
  action: SIGN_IN,
};
const API_DOWN: Text = {
  title: 'The contacts cannot be reached right now',
  what: 'The API that keeps them does not answer. You are still signed in.',
  todo: 'Wait a moment, then try again.',
  action: CONTACTS,
};

const BY_CODE: Readonly<Record<string, Text>> = {
  ERR_UNEXPECTED_CALLBACK: UNEXPECTED_CALLBACK,
  ERR_AUTHORIZATION_RESPONSE: BAD_ANSWER,
  ERR_ISSUER_MISMATCH: BAD_ANSWER,
  ERR_CODE_REFUSED: CODE_REFUSED,
  ERR_ID_TOKEN: BAD_ANSWER,
  ERR_TOKEN_RESPONSE: BAD_ANSWER,
  ERR_TOKEN_REQUEST_REFUSED: {
    ...BAD_ANSWER,
    what: 'The authorization server did not give out tokens for this sign-in.',
  },
  ERR_PUSHED_REQUEST: {
    ...BAD_ANSWER,
    what: 'The authorization server did not accept the request to sign you in.',
  },
  ERR_AUTHORIZATION_REFUSED: {
    title: 'You were not signed in',
    what: 'The authorization server ended the sign-in without success.',
    todo: 'If you stopped it yourself, all is well. Otherwise try again.',
    action: SIGN_IN,
  },
  ERR_AUTHORIZATION_UNAVAILABLE: ISSUER_DOWN,
  ERR_ISSUER_UNAVAILABLE: ISSUER_DOWN,
  ERR_INVALID_METADATA: ISSUER_DOWN,
  ERR_ISSUER_UNSUITABLE: {
    title: 'Signing in is not possible here',
    what: 'The authorization server does not offer what this app needs to sign you in.',
    todo: 'Tell whoever runs this app, with the reference below.',
    action: HOME,
  },
  ERR_TOKEN_ENDPOINT_UNAVAILABLE: ISSUER_DOWN,
  ERR_LOGIN_REQUIRED: SIGNED_OUT,
  ERR_SESSION_STORE: {
    title: 'Your session cannot be read right now',
    what: 'The place where this app keeps sessions does not answer.',
    todo: 'Wait a moment, then try again.',
    action: CONTACTS,
  },
  ERR_CROSS_SITE: {
    title: 'This came from another site',
    what: 'A page of another site tried to do something in your name. It was stopped.',
    todo: 'If you meant to do it, do it from here.',
    action: HOME,
  },
  ERR_API_UNAVAILABLE: API_DOWN,
  ERR_STEP_UP_REQUIRED: {
    title: 'Please sign in once more',
    what: 'This takes a fresher or a stronger sign-in than yours.',
    todo: 'Sign in and try again.',
    action: { ...SIGN_IN, label: 'Sign in again' },
  },
  ERR_INSUFFICIENT_CLAIMS: {
    title: 'You may not do this',
    what: 'It is not for users like you: something that the authorization server says of you does not fit.',
    todo: 'An administrator can change that.',
    action: HOME,
  },
  ERR_INSUFFICIENT_SCOPE: {
    title: 'You may not do this',
    what: 'The API refused: it takes a scope that your sign-in was not granted.',
    todo: 'Your list of contacts says which scopes you have, and how to get another.',
    action: { ...CONTACTS, label: 'See what you may do' },
  },
  ERR_API_TOKEN_REFUSED: {
    title: 'Please sign in again',
    what: 'The API did not accept the access token of your session.',
    todo: 'Sign in again to get a new one. If that does not help, this app and the API may disagree about the issuer or the audience.',
    action: { ...SIGN_IN, label: 'Sign in again' },
  },
  ERR_API_REFUSED: {
    title: 'The API did not do this',
    what: 'It answered, but not with what this app asked for.',
    todo: 'Try again. If it happens again, tell whoever runs this app, with the reference below.',
    action: CONTACTS,
  },
};

const GONE: Text = {
  title: 'This contact is not there',
  what: 'Your organisation has no such contact: somebody may have deleted it meanwhile.',
  todo: 'Go back to the list.',
  action: { ...CONTACTS, label: 'See all contacts' },
};
const NOT_FOUND: Text = {
  title: 'There is nothing here',
  what: 'This address leads to no page of this app.',
  todo: 'Check the address, or begin at the start.',
  action: HOME,
};
const BAD_REQUEST: Text = {
  title: 'This request cannot be answered',
  what: 'The app does not understand what was sent, or does not take it here.',
  todo: 'Go back and try again.',
  action: HOME,
};
const UNFORESEEN: Text = {
  title: 'Something went wrong here',
  what: 'The app ran into something nobody foresaw. It is in the log.',
  todo: 'Try again. If it happens again, tell whoever runs this app, with the reference below.',
  action: HOME,
};

/** Says what happened, whether anything was lost, and what to do. */
export function explainError({ status, code, isChange, reason }: Facts): ErrorText {
  const general = status === 404 ? NOT_FOUND : status < 500 ? BAD_REQUEST : UNFORESEEN;
  const known = code === 'ERR_API_REFUSED' && status === 404 ? GONE : BY_CODE[code];
  const text = Object.hasOwn(BY_CODE, code) ? (known ?? general) : general;
  const lost = isChange
    ? // Of what failed on the way, nobody knows how far it came.
      `What you sent ${status < 500 ? 'was not' : 'may not have been'} saved.`
    : 'Nothing was lost: nothing was being saved.';
  const quote = reason && [reason.error, reason.errorDescription].filter(Boolean).join(': ');
  return { ...text, lost, quote };
}
