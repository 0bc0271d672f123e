import { channel } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import nock from 'nock';
import { AuthorizationRefused, OidcError } from '../src/errors.ts';
import { CLIENT_CHANNEL, type ClientEvent, describeFailure } from '../src/events.ts';
import { TokenRequestRefused } from '../src/oauth/token-endpoint.ts';
import { type IssuerStandIn, standInForIssuer } from './support/issuer-stand-in.ts';
import { startWebApp, type WebApp } from './support/web-app.ts';

describe('a failure in an event', () => {
  test.each<[string, unknown, object]>([
    [
      'one of ours',
      new OidcError('ERR_ID_TOKEN', { detail: '"iss" is not the issuer' }),
      { code: 'ERR_ID_TOKEN', detail: '"iss" is not the issuer' },
    ],
    [
      'a refusal, without what may name a person',
      new AuthorizationRefused('access_denied', 'Ada said no'),
      { code: 'ERR_AUTHORIZATION_REFUSED', detail: 'access_denied' },
    ],
    [
      'a refusal that is no code',
      new AuthorizationRefused('Ada said no'),
      { code: 'ERR_AUTHORIZATION_REFUSED', detail: 'an error that is none of OAuth' },
    ],
    [
      'a refused token request, without the words of the issuer',
      new TokenRequestRefused({ error: 'invalid_grant', detail: 'invalid_grant: Ada left' }),
      { code: 'ERR_TOKEN_REQUEST_REFUSED', detail: 'invalid_grant' },
    ],
    ['a foreign one', new TypeError('Ada'), { code: undefined, detail: undefined }],
    ['nothing', undefined, { code: undefined, detail: undefined }],
  ])('%s', (_name, error, told) => {
    expect(describeFailure(error)).toEqual(told);
  });
});

describe('events of an app', () => {
  const durationMs = expect.any(Number);
  let issuer: IssuerStandIn;
  let app: WebApp;
  let now: number;
  let published: unknown[];
  const listen = (message: unknown) => published.push(message);

  beforeEach(async () => {
    nock.disableNetConnect();
    nock.enableNetConnect('127.0.0.1');
    issuer = standInForIssuer();
    now = Date.now();
    app = await startWebApp(issuer, { now: () => now });
    published = [];
    channel(CLIENT_CHANNEL).subscribe(listen);
  });

  afterEach(async () => {
    channel(CLIENT_CHANNEL).unsubscribe(listen);
    await app.served.close();
    nock.cleanAll();
  });

  /** Returns the events since the last call, except those of the issuer's keys. */
  const told = () => app.events.splice(0).filter(({ type }) => type !== 'keys_refreshed');

  test('from the sign-in to the logout, and nothing that opens anything', async () => {
    let pauses = 0;
    const elapsed = performance.now.bind(performance);
    jest.spyOn(performance, 'now').mockImplementation(() => elapsed() + pauses);
    const everything: ClientEvent[] = [];
    const look = () => {
      everything.push(...app.events);
      return told();
    };
    await app.signIn({ name: 'Ada Lovelace', email: 'ada@example.com' });
    expect(app.events.map(({ type }) => type)).toContain('keys_refreshed');
    expect(look()).toEqual([{ type: 'signed_in', durationMs }]);

    now += 3_600_000;
    app.grant({}, { id_token: undefined, access_token: 'access-2', refresh_token: 'refresh-2' });
    await app.browser.get('/private');
    expect(look()).toEqual([{ type: 'token_refreshed', durationMs }]);

    now += 3_600_000;
    issuer.onTokenRequest = () => [503, {}];
    await app.browser.get('/private');
    expect(look()).toEqual([
      {
        type: 'token_refresh_failed',
        durationMs,
        transient: true,
        code: 'ERR_TOKEN_ENDPOINT_UNAVAILABLE',
        detail: 'it answered 503',
      },
    ]);

    // The pause after a failure is no matter of the app's clock.
    pauses += 1000;
    issuer.onTokenRequest = () => [400, { error: 'invalid_grant', error_description: 'of Ada' }];
    await app.browser.get('/private');
    expect(look()).toEqual([
      {
        type: 'token_refresh_failed',
        durationMs,
        transient: false,
        code: 'ERR_TOKEN_REQUEST_REFUSED',
        detail: 'invalid_grant',
      },
    ]);

    await app.signIn({ name: 'Ada Lovelace' });
    expect(look()).toEqual([
      { type: 'session_ended', reason: 'replaced', sessions: 1 },
      { type: 'signed_in', durationMs },
    ]);
    issuer.revocationStatus = 503;
    await app.browser.post('/logout');
    expect(look()).toEqual([
      { type: 'session_ended', reason: 'logout', sessions: 1 },
      {
        type: 'warning',
        code: 'ERR_TOKEN_REQUEST_REFUSED',
        detail: 'revocation: it answered 503',
      },
    ]);
    // The issuer publishes its events itself, on its own channel.
    expect(published).toEqual(everything.filter((event) => !('issuer' in event)));
    expect(JSON.stringify(everything)).not.toMatch(
      /access-\d|refresh-\d|code-1|client-secret|user-1|Ada|ada@|sid-1|eyJ/,
    );
  });

  test('of sign-ins that were refused', async () => {
    const { request, callback } = await app.begin();
    app.grant({ nonce: 'other', name: 'Ada' });
    await app.browser.get(callback());
    expect(told()).toEqual([
      {
        type: 'sign_in_refused',
        durationMs,
        code: 'ERR_ID_TOKEN',
        detail: '"nonce" is not the one of this sign-in',
      },
    ]);
    await app.browser.get(callback());
    expect(told()).toMatchObject([{ type: 'sign_in_refused', code: 'ERR_UNEXPECTED_CALLBACK' }]);
    expect(request.get('state')).not.toBeNull();
  });
});
