import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { proves } from '../../../test/support/proves.ts';
import type { AuthorizationServer } from '../src/index.ts';
import { PATCHED_VERSION } from '../src/oidc-provider.ts';
import { startDemo, stopServers } from './support/demo-server.ts';
import {
  authorizationRequest,
  callbackOf,
  openBrowser,
  requestTokens,
  signIn,
} from './support/sign-in.ts';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo();
});
afterAll(stopServers);

test('the engine is imported and starts without output on the console', () => {
  const index = fileURLToPath(new URL('../dist/index.js', import.meta.url));
  const program = `
    const { startAuthorizationServer, loadTenant, demoTenantFile } = await import(${JSON.stringify(index)});
    const server = await startAuthorizationServer({ tenant: loadTenant(demoTenantFile) });
    const answer = await fetch(server.issuer + '.well-known/openid-configuration');
    await server.close();
    process.exitCode = answer.ok ? 0 : 1;`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', program],
    { encoding: 'utf8' },
  );
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
});

test('the pinned version is the one that the patches were read from', () => {
  const { dependencies } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  ) as { dependencies: Record<string, string> };
  expect(dependencies['oidc-provider']).toBe(PATCHED_VERSION);
});

describe('iss in the authorization response (RFC 9207)', () => {
  const both = async (from: AuthorizationServer) => {
    const success = await signIn(openBrowser(), authorizationRequest(from));
    const silent = authorizationRequest(from, { prompt: 'none' });
    const failure = callbackOf(await openBrowser().get(silent.url));
    const { authorization_response_iss_parameter_supported: flag } = await got(
      `${from.url}/.well-known/openid-configuration`,
    ).json<Record<string, unknown>>();
    return { success: success.get('iss'), failure: failure.get('iss'), flag };
  };

  test('is not sent by default, as at Auth0', async () => {
    proves('RFC 9207 §3');
    expect(await both(server)).toEqual({ success: null, failure: null, flag: undefined });
  });

  test('is sent when the tenant’s flag is set', async () => {
    proves('RFC 9207 §2');
    const flagged = await startDemo((tenant) => {
      tenant.tenant.flags.authorization_response_iss_parameter_supported = true;
    });
    const { issuer } = flagged;
    expect(await both(flagged)).toEqual({ success: issuer, failure: issuer, flag: true });
  });
});

describe('iss of a refusal', () => {
  const refusal = async (from: AuthorizationServer, path: string, response_mode: string) => {
    const { url } = authorizationRequest(from, { prompt: 'none', response_mode });
    const { body, headers } = await openBrowser().get(url.replace('/authorize', path));
    expect(`${headers.location}${body}`).toContain('login_required');
    return `${headers.location}${body}`.includes('iss');
  };

  test.each([
    ['/authorize', 'form_post'],
    ['/authorize', 'fragment'],
    ['/authorize', 'query'],
    ['/AUTHORIZE/', 'query'],
  ])('is nowhere in the answer of %s with %s, unless the flag is on', async (path, mode) => {
    expect(await refusal(server, path, mode)).toBe(false);
    const flagged = await startDemo((tenant) => {
      tenant.tenant.flags.authorization_response_iss_parameter_supported = true;
    });
    expect(await refusal(flagged, path, mode)).toBe(true);
  });
});

test('an unknown refresh token is refused in Auth0’s words', async () => {
  const form = { grant_type: 'refresh_token', refresh_token: 'bogus' };
  expect(await requestTokens(server, form)).toEqual({
    status: 403,
    body: { error: 'invalid_grant', error_description: 'Unknown or invalid refresh token.' },
  });
});
