import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { API, ISSUER, standInForIssuer, startApp, type TestApp } from '../support/stand-ins.ts';

let app: TestApp;

beforeEach(async () => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  standInForIssuer();
  app = await startApp();
});

afterEach(async () => {
  await app.close();
  nock.cleanAll();
});

const grace = { id: 'g-1', name: 'Grace Hopper', email: 'grace@example.org', version: 3 };
const typed = { name: 'Grace M. Hopper', email: 'grace@example.org', phone: '', company: 'Navy' };
const form = { ...typed, notes: '', version: '3' };
const api = () => nock(API);
const refusal = (scope: string): [number, object, Record<string, string>] => [
  403,
  {},
  { 'WWW-Authenticate': `Bearer error="insufficient_scope", scope="${scope}"` },
];

describe('the list', () => {
  test('passes search, order and page to the API, and keeps them in its links', async () => {
    await app.signIn();
    const query = { limit: 20, q: 'ada & co', sort: '-updated_at', cursor: 'c1' };
    api()
      .get('/contacts')
      .query(query)
      .reply(200, { items: [grace], next: 'c2' });
    const html = await (
      await app.get('/contacts?q=ada+%26+co&sort=-updated_at&cursor=c1&x=y')
    ).text();
    expect(html).toContain('value="ada &amp; co"');
    expect(html).toMatch(/<option[^>]* selected[^>]*>Changed last/);
    const rest = 'q=ada+%26+co&amp;sort=-updated_at';
    expect(html).toContain(`href="/contacts?${rest}">First page`);
    expect(html).toContain(`href="/contacts?${rest}&amp;cursor=c2&amp;before=c1">Next page`);
    expect(html).toContain('found for “ada &amp; co”');
  });

  test('leads from page to page in both directions, and says where each is', async () => {
    await app.signIn();
    const cursors = [undefined, 'c2', 'c3', 'c4'];
    for (const [index, cursor] of cursors.entries()) {
      const items = cursors[index + 1]
        ? Array.from({ length: 20 }, (_, at) => ({ ...grace, id: `g-${index}-${at}` }))
        : [grace];
      api()
        .get('/contacts')
        .query({ limit: 20, sort: 'name', ...(cursor && { cursor }) })
        .reply(200, { items, next: cursors[index + 1] ?? null })
        .persist();
    }
    const follow = async (link: string) => {
      const [, path = ''] = new RegExp(`href="([^"]+)">${link}<`).exec(html) ?? [];
      html = await (await app.get(path.replaceAll('&amp;', '&'))).text();
      const links = [...html.matchAll(/>(First|Previous|Next) page</g)].map(([, name]) => name);
      return [/<h1>Contacts<\/h1><p>([^,]*),/.exec(html)?.[1], ...links];
    };
    let html = await (await app.get('/contacts')).text();
    expect(html).toContain('1 to 20 of more than 20 people, shared within acme');
    const second = ['21 to 40 of more than 40 people', 'Previous', 'Next'];
    const third = ['41 to 60 of more than 60 people', 'First', 'Previous', 'Next'];
    expect(await follow('Next page')).toEqual(second);
    expect(await follow('Next page')).toEqual(third);
    expect(await follow('Next page')).toEqual(['61 to 61 of 61 people', 'First', 'Previous']);
    expect(await follow('Previous page')).toEqual(third);
    expect(await follow('Previous page')).toEqual(second);
    expect(await follow('Previous page')).toEqual(['1 to 20 of more than 20 people', 'Next']);
  });

  test('keeps its addresses short on a far page', async () => {
    await app.signIn();
    const items = [grace];
    api()
      .get('/contacts')
      .query(true)
      .reply(200, { items, next: 'n'.repeat(80) });
    const before = Array.from({ length: 500 }, (_, at) => `${at}`.padStart(80, 'c'));
    const query = new URLSearchParams({ cursor: 'c'.repeat(80), page: '502' });
    for (const cursor of before) query.append('before', cursor);
    // The limit of a request is 16 KiB.
    const html = await (await app.get(`/contacts?${String(query).slice(0, 12_000)}`)).text();
    const links = [...html.matchAll(/href="(\/contacts[^"]*)"/g)].map(([, link = '']) => link);
    expect(links.length).toBeGreaterThan(4);
    expect(Math.max(...links.map((link) => link.length))).toBeLessThan(1500);
    expect(html).toContain('>Previous page<');
  });

  test('passes the whole cursor of a page after the longest names', async () => {
    await app.signIn();
    const cursor = 'c'.repeat(2474);
    api()
      .get('/contacts')
      .query({ limit: 20, sort: 'name', cursor })
      .reply(200, { items: [grace] });
    expect((await app.get(`/contacts?cursor=${cursor}`)).status).toBe(200);
  });

  test.each(['sort=nonsense', 'q=a&q=b', 'sort=__proto__', 'cursor='])(
    'shows the first page for an address with %s',
    async (query) => {
      await app.signIn();
      api()
        .get('/contacts')
        .query({ limit: 20, sort: 'name' })
        .reply(200, { items: [grace] });
      expect((await app.get(`/contacts?${query}`)).status).toBe(200);
    },
  );

  test('says that no contact was found', async () => {
    await app.signIn();
    api().get('/contacts').query(true).reply(200, { items: [], next: null });
    const html = await (await app.get('/contacts?q=unknown')).text();
    expect(html).toContain('No contact found for “unknown”');
    expect(html).not.toContain('No contacts yet');
    expect(html).toContain('href="/contacts">See all contacts');
  });

  test('leads on where a search ended early and has found nothing so far', async () => {
    await app.signIn();
    api().get('/contacts').query(true).reply(200, { items: [], next: 'c2' });
    const html = await (await app.get('/contacts?q=unknown')).text();
    expect(html).toContain('No contact found for “unknown” so far');
    expect(html).toContain('href="/contacts?q=unknown&amp;cursor=c2&amp;page=2">Search on');
    expect(html).not.toContain('See all contacts');
  });

  test.each(['/contacts?q=ada&', '/activity?'])(
    '%scursor= with a made-up cursor leads to the first page',
    async (path) => {
      await app.signIn();
      api()
        .get(/^\/(contacts|activity)/)
        .query(true)
        .reply(400, { errors: [{ field: 'cursor', message: 'must be one' }] });
      const response = await app.get(`${path}cursor=made-up`);
      expect(response.status).toBe(302);
      expect(response.headers.get('location')).toBe(path.slice(0, -1));
    },
  );

  test.each(['../logout?', 'a/b', '', 'x'.repeat(101)])(
    'answers 502 without a link to an id of the API that could change the path: %j',
    async (id) => {
      await app.signIn();
      api()
        .get('/contacts')
        .query(true)
        .reply(200, { items: [{ ...grace, id }] });
      const response = await app.get('/contacts');
      expect(response.status).toBe(502);
      expect(await response.text()).not.toContain('/contacts/');
    },
  );

  test('has no button for a scope that this app cannot request', async () => {
    await app.signIn();
    api()
      .get('/contacts')
      .query(true)
      .reply(...refusal('read:secrets'));
    const response = await app.get('/contacts');
    expect(response.status).toBe(403);
    const html = await response.text();
    expect(html).toContain('<code>read:secrets</code>');
    expect(html).toContain('This app cannot request this scope');
    expect(html).not.toContain('action="/permissions"');
  });

  test('shows the links that the scopes allow, and explains missing permissions', async () => {
    await app.signIn({ scope: 'openid read:contacts update:contacts' });
    api()
      .get('/contacts')
      .query(true)
      .reply(200, { items: [grace] });
    const html = await (await app.get('/contacts')).text();
    expect(html).toContain('href="/contacts/g-1/edit"');
    expect(html).not.toContain('/contacts/g-1/delete');
    expect(html).toContain('You may not delete contacts');
    expect(html).toContain('None of your roles allows this. An administrator of acme can');
    expect(html).not.toContain('aria-label="Ask for it: delete:contacts"');
    expect(html).not.toContain('href="/activity"');
  });

  test('says that the user can grant a scope that was not requested yet', async () => {
    await app.close();
    app = await startApp({ scope: 'openid read:contacts' });
    await app.signIn({ scope: 'openid read:contacts' });
    api()
      .get('/contacts')
      .query(true)
      .reply(200, { items: [grace] });
    const html = await (await app.get('/contacts')).text();
    expect(html).toContain(
      'This app has not asked for this permission yet. You can grant it yourself.',
    );
    expect(html).not.toContain('None of your roles');
    expect(html).toContain('aria-label="Ask for it: delete:contacts"');
  });

  test.each([
    ['delete:contacts', 'openid read:contacts delete:contacts', 'You may now delete contacts.'],
    ['delete:contacts', 'openid read:contacts', 'You still may not delete contacts'],
    ['admin', 'openid read:contacts', undefined],
  ])('says what came of a request for %s, with the scopes %s', async (asked, scope, notice) => {
    await app.signIn({ scope });
    api()
      .persist()
      .get('/contacts')
      .query(true)
      .reply(200, { items: [grace] });
    api().persist().get('/contacts/g-1').reply(200, grace);
    for (const path of ['/contacts', '/contacts/g-1/edit', '/contacts/g-1/delete']) {
      const html = await (await app.get(`${path}?asked=${asked}`)).text();
      if (notice) expect(html).toContain(notice);
      else expect(html).not.toMatch(/You (?:may now|still may not)/);
    }
  });
});

test('the activity is listed newest first, and names the own changes', async () => {
  await app.signIn();
  const change = { id: 'a-1', at: '2026-01-02T03:04:05.678Z', client_id: null };
  const items = [
    { ...change, subject: 'auth0|ada', action: 'deleted', contact_id: 'gone-1234-5' },
    { ...change, id: 'a-2', subject: 'auth0|<b>', action: 'updated', contact_id: 'here-1234-5' },
  ];
  api().get('/activity').query({ limit: 20 }).reply(200, { items, next: 'c2' });
  const html = await (await app.get('/activity')).text();
  expect(html).toContain(
    '2026-01-02 03:04</time></td><td>You</td><td>deleted contact gone-123</td>',
  );
  expect(html).toContain(
    '<code>auth0|&lt;b></code></td><td>changed contact <a href="/contacts/here-1234-5/edit">here-123</a>',
  );
  expect(html).toContain('href="/activity?cursor=c2"');
});

describe('editing', () => {
  test('starts with the saved values', async () => {
    await app.signIn();
    api().get('/contacts/g-1').reply(200, grace);
    const html = await (await app.get('/contacts/g-1/edit')).text();
    expect(html).toContain('action="/contacts/g-1/edit"');
    expect(html).toContain('name="version" value="3"');
    expect(html).toContain('value="Grace Hopper"');
  });

  test('replaces all fields of the version that was shown', async () => {
    await app.signIn();
    const { phone: _empty, ...filled } = typed;
    api()
      .put('/contacts/g-1', filled)
      .matchHeader('if-match', '"3"')
      .reply(200, { ...grace, ...filled, version: 4 });
    const response = await app.post('/contacts/g-1/edit', form);
    expect(response.status).toBe(303);
    expect(response.headers.get('location')).toBe('/contacts?changed=g-1');
  });

  test('leads back to the page that it began on, and to the contact', async () => {
    await app.signIn();
    const list = 'q=grace&sort=-name&cursor=c3&page=3&before=c2';
    api()
      .get('/contacts')
      .query(true)
      .reply(200, { items: [grace] });
    api().get('/contacts/g-1').times(2).reply(200, grace);
    const html = await (await app.get(`/contacts?${list}`)).text();
    const [, link = ''] = /href="([^"]+)" aria-label="Edit Grace Hopper"/.exec(html) ?? [];
    expect(link.replaceAll('&amp;', '&')).toBe(`/contacts/g-1/edit?${list}`);
    const edit = await (await app.get(link.replaceAll('&amp;', '&'))).text();
    expect(edit).toContain(`action="${link}"`);
    expect(edit).toContain(`href="${link.replace('/g-1/edit', '')}">Back to the contacts`);
    api().put('/contacts/g-1').reply(200, grace);
    const { headers } = await app.post(`/contacts/g-1/edit?${list}`, form);
    expect(headers.get('location')).toBe(`/contacts?${list}&changed=g-1`);

    // Its new name can be on another page.
    api().get('/contacts').query(true).reply(200, { items: [] });
    const after = await (await app.get(String(headers.get('location')))).text();
    expect(after).toContain(
      '<a href="/contacts?q=grace%40example.org&amp;sort=-name">Grace Hopper</a> was changed.',
    );
  });

  test('shows both versions after a change by someone else, and saves this one on request', async () => {
    await app.signIn();
    const theirs = { ...grace, name: 'Grace Brewster Hopper', version: 4 };
    api().put('/contacts/g-1').reply(412, {});
    api().get('/contacts/g-1').reply(200, theirs);
    const response = await app.post('/contacts/g-1/edit', form);
    expect(response.status).toBe(412);
    const html = await response.text();
    expect(html).toContain('<td>Grace Brewster Hopper</td><td>Grace M. Hopper</td>');
    expect(html).toMatch(/Company<span[^>]*> \(differs\)<\/span><\/th><td>–<\/td><td>Navy<\/td>/);
    expect(html).toContain('<td>grace<wbr/>@example.org</td>');
    const hidden = Object.fromEntries(
      [...html.matchAll(/<input type="hidden" name="(\w+)" value(?:="([^"]*)")?/g)].map(
        ([, name, value = '']) => [name, value],
      ),
    );
    expect(hidden).toMatchObject({ ...form, version: '4' });
    api()
      .put('/contacts/g-1')
      .matchHeader('if-match', '"4"')
      .reply(200, { ...theirs, version: 5 });
    expect((await app.post('/contacts/g-1/edit', hidden)).status).toBe(303);
  });

  test.each([
    ['refused fields', [422, { errors: [{ field: 'name', message: 'is odd' }] }], 422],
    ['a missing scope', refusal('update:contacts'), 403],
    ['503', [503, {}], 503],
  ] as const)('keeps the input when the API answers with %s', async (_name, answer, status) => {
    await app.signIn();
    api()
      .put('/contacts/g-1')
      .reply(...(answer as [number, object]));
    const response = await app.post('/contacts/g-1/edit', form);
    expect(response.status).toBe(status);
    const html = await response.text();
    expect(html).toContain('value="Grace M. Hopper"');
    expect(html).toContain('name="version" value="3"');
    expect(html).toContain('role="alert"');
  });

  test.each([
    ['sends Retry-After', { 'Retry-After': '7' }, '7'],
    ['does not', {}, '2'],
  ])('answers with Retry-After when the API %s', async (_name, headers, after) => {
    await app.signIn();
    api().put('/contacts/g-1').reply(503, {}, headers);
    const response = await app.post('/contacts/g-1/edit', form);
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, after]);
  });

  test('keeps the input of one contact too many', async () => {
    await app.signIn();
    api().post('/contacts').reply(409, {});
    api().get('/contacts').query(true).reply(200, { items: [] });
    const response = await app.post('/contacts', typed);
    expect(response.status).toBe(409);
    const html = await response.text();
    expect(html).toContain('Your organization has the maximum of contacts.');
    expect(html).toContain('value="Grace M. Hopper"');
  });

  test('offers to add a contact again that someone else has deleted', async () => {
    await app.signIn();
    api().put('/contacts/g-1').reply(404, {});
    api().get('/contacts').query({ limit: 20, q: 'grace', sort: 'name' }).reply(200, { items: [] });
    const response = await app.post('/contacts/g-1/edit?q=grace', form);
    expect(response.status).toBe(404);
    const html = await response.text();
    expect(html).toContain('Someone else has deleted this contact.');
    expect(html).toContain('value="Grace M. Hopper"');
    expect(html).toContain('action="/contacts"');
    expect(html).not.toContain('name="version"');
  });

  test('answers with a 404 page that explains a deleted contact', async () => {
    await app.signIn();
    api().get('/contacts/g-1').reply(404, {});
    const response = await app.get('/contacts/g-1/edit');
    expect(response.status).toBe(404);
    expect(await response.text()).toContain('This contact is not there');
  });

  test.each(['', 'x', '-1', '3"; "4'])('refuses a form with the version %j', async (version) => {
    await app.signIn();
    expect((await app.post('/contacts/g-1/edit', { ...form, version })).status).toBe(400);
  });

  test.each(['%2e%2e', '..%2fme', 'a%2fb', '%00'])('answers 404 to the id %s', async (id) => {
    await app.signIn();
    expect((await app.get(`/contacts/${id}/edit`)).status).toBe(404);
    expect((await app.post(`/contacts/${id}/delete`, { version: '1' })).status).toBe(404);
  });
});

describe('deleting', () => {
  test('asks first, then deletes the version that was shown', async () => {
    await app.signIn();
    api().get('/contacts/g-1').reply(200, grace);
    const html = await (await app.get('/contacts/g-1/delete')).text();
    expect(html).toContain('Delete Grace Hopper?');
    api().delete('/contacts/g-1').matchHeader('if-match', '"3"').reply(204);
    const response = await app.post('/contacts/g-1/delete', { version: '3' });
    expect(response.headers.get('location')).toBe('/contacts?deleted=g-1');
    api().get('/contacts').query(true).reply(200, { items: [] });
    expect(await (await app.get('/contacts?deleted=g-1')).text()).toContain('was deleted');
  });

  test('twice says that the contact was already deleted', async () => {
    await app.signIn();
    api().delete('/contacts/g-1').reply(404, {});
    const response = await app.post('/contacts/g-1/delete?q=grace', { version: '3' });
    expect(response.status).toBe(303);
    const location = response.headers.get('location') ?? '';
    expect(location).toBe('/contacts?q=grace&gone=g-1');
    api().get('/contacts').query(true).reply(200, { items: [] });
    expect(await (await app.get(location)).text()).toContain('The contact was already deleted.');
  });

  test('asks again when the contact has changed', async () => {
    await app.signIn();
    api().delete('/contacts/g-1').reply(412, {});
    api()
      .get('/contacts/g-1')
      .reply(200, { ...grace, name: 'Other Name', version: 4 });
    const response = await app.post('/contacts/g-1/delete', { version: '3' });
    expect(response.status).toBe(412);
    const html = await response.text();
    expect(html).toContain('It was not deleted');
    expect(html).toContain('Delete Other Name?');
    expect(html).toContain('name="version" value="4"');
  });

  test('names the missing scope', async () => {
    await app.signIn();
    api()
      .delete('/contacts/g-1')
      .reply(...refusal('delete:contacts'));
    api().get('/contacts/g-1').reply(200, grace);
    const response = await app.post('/contacts/g-1/delete', { version: '3' });
    expect(response.status).toBe(403);
    expect(await response.text()).toContain('<code>delete:contacts</code>');
  });
});

describe('requesting one more scope', () => {
  test('requests it together with all others', async () => {
    await app.close();
    app = await startApp({ scope: 'openid read:contacts' });
    await app.signIn({ scope: 'openid read:contacts' });
    const returnTo = '/contacts?q=ada';
    const response = await app.post('/permissions', { scope: 'delete:contacts', returnTo });
    expect(response.status).toBe(303);
    const url = new URL(response.headers.get('location') ?? '');
    expect(url.origin).toBe(new URL(ISSUER).origin);
    expect(url.searchParams.get('scope')).toBe('openid read:contacts delete:contacts');
  });

  test('returns to the page with the name of the scope', async () => {
    await app.signIn({ scope: 'openid' });
    for (const [returnTo, page] of [
      ['/contacts?q=ada', '/contacts?q=ada&asked=delete%3Acontacts'],
      ['/contacts', '/contacts?asked=delete%3Acontacts'],
      ['https://elsewhere.example', '/'],
      ['', '/'],
    ] as const) {
      const asked = await app.post('/permissions', { scope: 'delete:contacts', returnTo });
      const back = await app.finishSignIn(asked);
      expect(back.headers.get('location')).toBe(page);
    }
  });

  test.each(['', 'admin', 'openid', '__proto__'])('answers 400 to the scope %j', async (scope) => {
    await app.signIn();
    expect((await app.post('/permissions', { scope })).status).toBe(400);
  });

  test('refuses a request from another site', async () => {
    await app.signIn();
    const from = { 'sec-fetch-site': 'cross-site' };
    expect((await app.post('/permissions', { scope: 'delete:contacts' }, from)).status).toBe(403);
  });
});

describe('a stronger sign-in that the API demands (RFC 9470)', () => {
  const demand: [number, object, Record<string, string>] = [
    401,
    {},
    {
      'WWW-Authenticate':
        'Bearer error="insufficient_user_authentication", acr_values="mfa", max_age="300"',
    },
  ];
  const deletion = { version: '3' };
  const fresh = () => ({ auth_time: Math.floor(Date.now() / 1000) });

  test('sends a page to the sign-in', async () => {
    await app.signIn();
    api()
      .get('/activity')
      .query(true)
      .reply(...demand);
    const response = await app.get('/activity');
    expect(response.status).toBe(302);
    const { searchParams } = new URL(response.headers.get('location') ?? '');
    expect(searchParams.get('acr_values')).toBe('mfa');
  });

  test('a form gets a button, whose sign-in leads back to the form, once', async () => {
    await app.signIn();
    api()
      .delete('/contacts/g-1')
      .times(2)
      .reply(...demand);
    const refused = await app.post('/contacts/g-1/delete?q=ada', deletion);
    const html = await refused.text();
    expect(refused.status).toBe(401);
    expect(html).toContain('What you sent was not saved');
    expect(html).toMatch(/<form method="post" action="\/sign-in-again">.*Sign in again<\/button>/);
    const inputs = [...html.matchAll(/type="hidden" name="(\w+)" value="([^"]*)"/g)];
    const fields = Object.fromEntries(inputs.map(([, name, value]) => [name, value]));
    const returnTo = '/contacts/g-1/delete?q=ada';
    expect(fields).toEqual({ acr_values: 'mfa', max_age: '300', returnTo });

    const begun = await app.post('/sign-in-again', fields);
    const { origin, searchParams } = new URL(begun.headers.get('location') ?? '');
    expect(origin).toBe(new URL(ISSUER).origin);
    const asked = [searchParams.get('acr_values'), searchParams.get('max_age')];
    expect(asked).toEqual(['mfa', '300']);
    const back = await app.finishSignIn(begun, { claims: fresh() });
    expect(back.headers.get('location')).toBe(returnTo);

    const again = await app.post('/contacts/g-1/delete?q=ada', deletion);
    expect(again.status).toBe(401);
    const page = await again.text();
    expect(page).toContain('Signing in again may not help.');
    expect(page).not.toContain('action="/sign-in-again"');
  });

  test.each<Record<string, string>>([
    { acr_values: 'm\u00e9' },
    { acr_values: 'a'.repeat(513) },
    { max_age: '-1' },
    { max_age: '1e3' },
  ])('answers 400 to the fields %j', async (fields) => {
    await app.signIn();
    expect((await app.post('/sign-in-again', { ...fields, returnTo: '/' })).status).toBe(400);
  });

  test('refuses a request from another site', async () => {
    await app.signIn();
    const from = { 'sec-fetch-site': 'cross-site' };
    expect((await app.post('/sign-in-again', { acr_values: 'mfa' }, from)).status).toBe(403);
  });
});
