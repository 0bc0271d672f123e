import { afterAll, describe, expect, test } from '@jest/globals';
import { type DocumentOptions, openApiDocument, Problem } from '../../src/http/openapi.ts';
import { type Operation, SCOPES } from '../../src/operation.ts';
import { audience, bearer, logoutToken, namespace, startApp } from '../support/running-app.ts';

interface Described {
  readonly operationId: string;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters: readonly { readonly name: string; readonly required: boolean }[];
  readonly 'x-required-role'?: string;
  readonly responses: Readonly<
    Record<string, { readonly content?: object; readonly headers?: object }>
  >;
}

const running = await startApp();
const { operations } = running.app;
const documentWith = (dpop: DocumentOptions['dpop']) =>
  openApiDocument({
    operations,
    baseURL: 'https://api.contacts.test',
    issuers: ['https://issuer.test/'],
    audience,
    dpop,
  });
const document = documentWith({});
type Paths = Record<string, Record<string, Described>>;
const paths = document.paths as Paths;
const described = ({ path, method }: Operation) => paths[path]?.[method] as Described;
const examplesOf = ({ body }: Operation) => (body?.schema.meta()?.examples ?? []) as unknown[];
const withId = (list: readonly Operation[]) => list.map((each) => [each.id, each] as const);

afterAll(() => running.close());

test('GET /openapi.json answers the same document, with the real addresses', async () => {
  const answer = await running.api('openapi.json').json<typeof document>();
  expect(answer.paths).toEqual(JSON.parse(JSON.stringify(document.paths)));
  expect(answer.components).toEqual(JSON.parse(JSON.stringify(document.components)));
  expect(answer.servers).toEqual([{ url: 'http://localhost:3001' }]);
});

test('it has exactly the declared operations, with their scopes and roles', () => {
  const inDocument = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId, security, ...rest }]) => {
      return [method, path, operationId, security, rest['x-required-role']];
    }),
  );
  const declared = operations.map(({ method, path, id, needs }) => {
    const scopes = needs?.scope ? [needs.scope] : [];
    const security = needs ? [{ accessToken: scopes }, { boundAccessToken: scopes }] : [];
    return [method, path, id, security, needs?.role];
  });
  expect(inDocument.sort()).toEqual(declared.sort());
});

describe('bound tokens (RFC 9449)', () => {
  const readMe = (dpop: DocumentOptions['dpop']) =>
    (documentWith(dpop).paths as Paths)['/me']?.get as Described;

  test('may have a proof, and a refusal has a challenge for each scheme', async () => {
    const { parameters, responses } = readMe({});
    expect(parameters).toEqual([expect.objectContaining({ name: 'DPoP', required: false })]);
    expect(JSON.stringify(responses[401]?.headers)).toContain('the schemes Bearer');
    const { headers } = await running.api('me');
    expect(headers['www-authenticate']).toMatch(/^Bearer .+, DPoP /);
  });

  test('are the only ones where they are required, and nonces are described', async () => {
    const dpop = { required: true, nonce: true };
    const { parameters, security, responses } = readMe(dpop);
    expect(parameters).toEqual([expect.objectContaining({ name: 'DPoP', required: true })]);
    expect(security).toEqual([{ boundAccessToken: [] }]);
    expect(Object.keys(responses[401]?.headers ?? {})).toEqual(['WWW-Authenticate', 'DPoP-Nonce']);
    expect(JSON.stringify(responses[401]?.headers)).not.toContain('Bearer');
    const bound = await startApp({ dpop });
    const { headers } = await bound.api('me');
    const page = await bound.api('docs', { responseType: 'text' });
    await bound.close();
    expect(headers['www-authenticate']).toMatch(/^DPoP (?!.*Bearer)/);
    expect(page.body).toContain('only access tokens that are bound to a key');
    expect(page.body).not.toMatch(/sign in|npm run/);
  });
});

test('it explains every scope', () => {
  for (const scope of Object.keys(SCOPES)) {
    expect(JSON.stringify(document.info)).toContain(`\`${scope}\``);
  }
});

test.each(withId(operations.filter(({ needs }) => needs)))(
  '%s describes its refusals',
  (_, operation) => {
    const statuses = Object.keys(described(operation).responses);
    expect(statuses).toEqual(expect.arrayContaining(['400', '401', '403', '429', '503']));
    if (operation.body) expect(statuses).toEqual(expect.arrayContaining(['413', '415', '422']));
  },
);

describe('examples', () => {
  test.each(withId(operations.filter(({ body }) => body)))(
    'the examples of %s are valid',
    (_, operation) => {
      const examples = examplesOf(operation);
      expect(examples).not.toEqual([]);
      for (const example of examples) {
        expect(operation.body?.schema.safeParse(example).error?.issues).toBeUndefined();
      }
    },
  );
});

describe('real answers', () => {
  const accessToken = bearer(
    running.token(Object.keys(SCOPES).join(' '), { [`${namespace}roles`]: ['admin'] }),
  );
  const order = ['post', 'put', 'patch', 'get', 'delete'];
  const inOrder = [...operations].sort((a, b) => order.indexOf(a.method) - order.indexOf(b.method));
  let id = '';

  test.each(withId(inOrder))('%s answers as described', async (_, operation) => {
    const { method, path, needs, body, answers } = operation;
    const { statusCode, headers, rawBody } = await running.api(path.slice(1).replace('{id}', id), {
      method,
      ...(needs && accessToken),
      ...(body && { json: examplesOf(operation)[0] }),
      ...(path === '/backchannel-logout' && {
        form: { logout_token: logoutToken(running.issuer, { sid: 'ended' }) },
      }),
      responseType: 'buffer',
    });
    id ||= headers.location?.split('/').at(-1) ?? '';
    const answer = answers[statusCode];
    expect(statusCode).toBeLessThan(300);
    expect(Object.keys(answer?.headers ?? {}).filter((name) => name !== 'Link')).toEqual(
      Object.keys(answer?.headers ?? {}).filter((name) => name.toLowerCase() in headers),
    );
    if (!answer?.schema) return expect(rawBody.length).toBe(0);
    // The schema drops unknown members, so this finds members that the document lacks.
    const answered = JSON.parse(rawBody.toString());
    expect(answer.schema.parse(answered)).toEqual(answered);
  });

  test.each(withId(operations.filter(({ needs }) => needs)))(
    '%s refuses as described',
    async (_, { method, path }) => {
      const { body } = await running.api(path.slice(1).replace('{id}', id), { method });
      expect(Problem.parse(body)).toEqual(body);
      expect(body).toMatchObject({ status: 401 });
    },
  );
});
