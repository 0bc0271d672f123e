import { deepStrictEqual } from 'node:assert/strict';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { z } from 'zod';
import { codePoint } from '../../../test/support/properties.ts';
import { Problem } from '../src/http/openapi.ts';
import { type Operation, SCOPES } from '../src/operation.ts';
import { writeCursor } from '../src/routes/contacts.ts';
import { bearer, namespace, type RunningApp, startApp } from './support/running-app.ts';

// Sends right, nearly right and hostile requests, made from the declarations, as a caller with all
// permissions. Each answer must be one that the OpenAPI document names.
const BATCH = 20;
const BATCHES = 250;

interface Sent {
  readonly operationId: string;
  /** Index of a stored contact, or the text in its place, as the path has it. */
  readonly id: number | string;
  /** Encoded for the URL. */
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | undefined;
}

interface Answered {
  readonly idInPath: string;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

interface JsonSchema {
  readonly type?: string;
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly JsonSchema[];
  readonly maxLength?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
}

const HOSTILE = fc.oneof(
  fc.constantFrom<unknown>(
    ...['', ' ', '\0', 'a\0b', '\u202egnp.exe', '\ud800', '\u001b[2J', 'İ', 'ﷺ'.repeat(90)],
    ...["' or 1=1 --", '%', '_', '\\', '%00', '{{7*7}}', '<script>', '../..', '\r\nX: y'],
    ...[null, true, 0, -1, 1e308, 1.5, [], {}, [[]], { length: 1e9 }, ['a'], { $ne: 1 }],
    ...['__proto__', 'constructor', 'NaN', '1e3', '0x10', '9'.repeat(400), 'x'.repeat(5001)],
    'e\u0301'.repeat(120),
  ),
  fc.string({ unit: codePoint, maxLength: 300 }),
  fc.jsonValue({ maxDepth: 3 }),
);
const NAMES = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', 'id', 'version', ''),
  fc.constantFrom('organisation', 'search_text', 'created_at', '\0', 'name ', 'NAME', 'access'),
  fc.string({ unit: codePoint, maxLength: 200 }),
);
const CONTENT_TYPES = [
  ...['application/json; charset=utf-16', 'application/json;charset=nonsense', 'text/plain', ''],
  ...['application/problem+json', 'application/json, text/html', 'application/JSON', '/', '*/*'],
  ...['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'json', 'a/b;;;="'],
];
const ENTITY_TAGS = fc.oneof(
  fc.constantFrom('*', '"1"', '"2"', 'W/"1"', '"0", "1"', '"1","2","3"', '1', '"', ',', '"1'),
  fc.string({ unit: 'grapheme-ascii', maxLength: 300 }).map((text) => text.trim()),
);

/** Makes values that fit a schema, or nearly fit it. */
function nearlyValid({
  type,
  format,
  enum: words,
  anyOf,
  maxLength = 100,
}: JsonSchema): fc.Arbitrary<unknown> {
  if (anyOf) return fc.oneof(...anyOf.map(nearlyValid));
  if (words) return fc.constantFrom(...words);
  if (type === 'null') return fc.constant(null);
  if (type === 'integer') return fc.integer({ min: -1, max: 103 });
  if (format === 'idn-email') {
    return fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('ada@example.com', ' a@b.example ') },
      { weight: 1, arbitrary: fc.emailAddress() },
    );
  }
  const long = fc.integer({ min: maxLength - 1, max: maxLength + 1 });
  return fc.oneof(
    { weight: 20, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }) },
    { weight: 1, arbitrary: long.map((length) => 'é'.repeat(length)) },
  );
}

const orHostile = (good: fc.Arbitrary<unknown>, goodWeight: number) =>
  fc.oneof({ weight: goodWeight, arbitrary: good }, { weight: 1, arbitrary: HOSTILE });

// A URL can't hold half a surrogate pair: it becomes U+FFFD.
const percent = (text: string) => encodeURIComponent(Buffer.from(text).toString());

function schemaOf(schema: z.ZodType): JsonSchema {
  const { $ref, $defs, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return ($ref ? $defs?.[$ref.replace('#/$defs/', '')] : rest) as JsonSchema;
}

/** Makes JSON objects as text, so that a name can be `__proto__` or occur twice. */
function bodies({ properties = {} }: JsonSchema): fc.Arbitrary<string | Uint8Array> {
  const fields = Object.entries(properties).map(([name, schema]) =>
    fc.option(fc.tuple(fc.constant(name), orHostile(nearlyValid(schema), 40)), {
      freq: 9,
      nil: undefined,
    }),
  );
  const more = fc.oneof(
    { weight: 8, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.tuple(NAMES, HOSTILE), { maxLength: 3 }) },
  );
  const object = fc.tuple(fc.tuple(...fields), more).map(([known, unknown]) => {
    const all = [...known, ...unknown].filter((field) => field !== undefined);
    return `{${all.map((field) => field.map((each) => JSON.stringify(each)).join(':')).join(',')}}`;
  });
  return fc.oneof(
    { weight: 30, arbitrary: object },
    { weight: 2, arbitrary: fc.json() },
    {
      weight: 2,
      arbitrary: fc.tuple(object, fc.nat()).map(([text, at]) => text.slice(0, at % text.length)),
    },
    { weight: 1, arbitrary: fc.string({ unit: codePoint }) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '['.repeat(30_000),
        `${'{"a":'.repeat(9_000)}1${'}'.repeat(9_000)}`,
        `{"name":${'['.repeat(9_000)}${']'.repeat(9_000)},"email":"a@b.example"}`,
        `{"name":"${'x'.repeat(70_000)}","email":"a@b.example"}`,
        `{${Array.from({ length: 3_000 }, (_, i) => `"k${i}":1`)}}`,
        '{"name":"a","name":"b","email":"a@b.example"}',
        '{"name":"\ufeff","email":"a@b.example"}',
        '\ufeff{}',
        'null',
        '1',
        '""',
        '',
      ),
    },
  );
}

function queries(schema: z.ZodObject | undefined): fc.Arbitrary<string> {
  const sorts = ['name', '-name', 'created_at', '-created_at', 'updated_at', '-updated_at', '-at'];
  const texts = fc.oneof(
    fc.string({ unit: codePoint, maxLength: 60 }),
    fc.constantFrom('2026-01-01T00:00:00.000Z', '', 'ada', '\0', '\ud800'),
  );
  const cursors = fc.oneof(
    fc
      .tuple(fc.constantFrom(...sorts), texts, fc.oneof(fc.uuid(), texts))
      .map(([sort, value, id]) => writeCursor(sort, { value, id })),
    fc.json().map((json) => Buffer.from(json).toString('base64url')),
    HOSTILE,
  );
  const known = Object.entries(schema?.shape ?? {}).map(([name, field]) => {
    const values = name === 'cursor' ? cursors : orHostile(nearlyValid(schemaOf(field)), 12);
    return fc.option(fc.tuple(fc.constant(name), values), { freq: 1, nil: undefined });
  });
  const unknown = fc.array(fc.tuple(fc.oneof(NAMES, fc.constantFrom('limit', 'q')), HOSTILE), {
    maxLength: 2,
  });
  const more = fc.oneof(
    { weight: 9, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: unknown },
  );
  const encode = (value: unknown) =>
    percent(typeof value === 'string' ? value : JSON.stringify(value));
  const written = fc.tuple(fc.tuple(...known), more).map(([some, others]) =>
    [...some, ...others]
      .filter((field) => field !== undefined)
      .map((field) => field.map(encode).join('='))
      .join('&'),
  );
  return fc
    .oneof(
      { weight: 20, arbitrary: written },
      {
        weight: 1,
        arbitrary: fc.constantFrom('%', '%zz=%ff', 'q=%ff%fe', 'q', '&&=&', 'q[]=a', 'q[x]=a'),
      },
    )
    .map((text) => text.slice(0, 6000));
}

const IDS: fc.Arbitrary<number | string> = fc.oneof(
  { weight: 8, arbitrary: fc.nat() },
  { weight: 1, arbitrary: fc.uuid() },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.constantFrom(
        '%00',
        '%',
        '%zz',
        '%2e%2e',
        '..',
        '%2f',
        '%ff',
        'null',
        "'",
        '*',
        ':id',
        '{id}',
      ),
      fc.string({ unit: codePoint, minLength: 1, maxLength: 100 }).map(percent),
    ),
  },
);

function requestsOf(operation: Operation): fc.Arbitrary<Sent> {
  const { path, query, body, headers = {} } = operation;
  const contentType = body
    ? fc.oneof(
        { weight: 20, arbitrary: fc.constantFrom(...body.types) },
        { weight: 1, arbitrary: fc.constantFrom(...CONTENT_TYPES) },
      )
    : fc.constantFrom('application/json', ...CONTENT_TYPES);
  const encoding = fc.constantFrom('gzip', 'br', 'deflate', 'identity', 'x', '__proto__');
  const conditions = Object.keys(headers).map((name) => [
    name,
    fc.option(ENTITY_TAGS, { freq: 2 }),
  ]);
  return fc.record({
    operationId: fc.constant(operation.id),
    id: path.includes('{id}') ? IDS : fc.constant(''),
    query: query
      ? queries(query)
      : fc.oneof(
          { weight: 15, arbitrary: fc.constant('') },
          { weight: 1, arbitrary: queries(query) },
        ),
    headers: fc
      .record({
        'Content-Type': contentType,
        'Content-Encoding': fc.oneof(
          { weight: 30, arbitrary: fc.constant(null) },
          { weight: 1, arbitrary: encoding },
        ),
        ...Object.fromEntries(conditions),
      })
      .map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null))),
    body: body
      ? bodies(schemaOf(body.schema))
      : fc.oneof(
          { weight: 15, arbitrary: fc.constant(undefined) },
          { weight: 1, arbitrary: fc.oneof(fc.json(), fc.uint8Array()) },
        ),
  }) as fc.Arbitrary<Sent>;
}

let running: RunningApp;
let documented: Record<string, Record<string, { responses: Record<string, unknown> }>>;
let authorization: string;
const agent = new Agent({ keepAlive: true, maxSockets: BATCH });
const contacts: string[] = [];
const seen = new Map<number, number>();

beforeAll(async () => {
  running = await startApp();
  const roles = { [`${namespace}roles`]: ['admin'] };
  ({ authorization } = bearer(running.token(Object.keys(SCOPES).join(' '), roles)).headers);
  ({ paths: documented } = await running.api('openapi.json').json<{ paths: typeof documented }>());
});
afterAll(async () => {
  agent.destroy();
  await running.close();
});

async function send(operation: Operation, { id, query, headers, body }: Sent) {
  const idInPath = typeof id === 'number' ? (contacts[id % contacts.length] ?? 'none') : id;
  const path = `${operation.path.replace('{id}', () => idInPath)}${query && `?${query}`}`;
  const method = operation.method.toUpperCase();
  return new Promise<Answered>((resolve, reject) => {
    const options = { port: running.port, agent, method, path };
    // Node adds it for some methods only.
    const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) };
    request({ ...options, headers: { ...headers, ...length, authorization } }, async (response) => {
      const text = Buffer.concat(await response.toArray()).toString();
      resolve({ status: response.statusCode ?? 0, headers: response.headers, text, idInPath });
    })
      .on('error', reject)
      .end(body);
  });
}

async function check(sent: Sent): Promise<void> {
  const operation = running.app.operations.find(({ id }) => id === sent.operationId) as Operation;
  const { path, method, answers } = operation;
  const { idInPath, status, headers, text } = await send(operation, sent);
  seen.set(status, (seen.get(status) ?? 0) + 1);
  if (status >= 500) throw new Error(`${status}: ${text}\n${running.logged().slice(-3000)}`);
  expect(Object.keys(documented[path]?.[method]?.responses ?? {})).toContain(String(status));
  if (status === 204) contacts.splice(contacts.indexOf(idInPath), 1);
  if (status === 201) contacts.push(String(headers.location?.split('/').at(-1)));
  if (status === 204 || status === 304) return expect(text).toBe('');

  const answer: unknown = JSON.parse(text);
  if (status >= 400) {
    expect(headers['content-type']).toBe('application/problem+json');
    expect(Problem.parse(answer)).toEqual(answer);
    expect(answer).toMatchObject({ status });
  } else {
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
    // The comparison of jest is slow for long pages.
    deepStrictEqual(answers[status]?.schema?.parse(answer), answer);
  }
}

test(`${BATCH * BATCHES} requests get declared answers, and no 5xx`, async () => {
  const requests = fc.oneof(
    ...running.app.operations.map((operation) => {
      const weight = operation.body ? 6 : operation.method === 'get' && operation.needs ? 4 : 1;
      return { weight, arbitrary: requestsOf(operation) };
    }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(requests, { minLength: BATCH, maxLength: BATCH, size: 'max' }),
      async (batch) => {
        await Promise.all(
          batch.map((sent) =>
            check(sent).catch((cause: Error) => {
              const asked = JSON.stringify({ ...sent, body: sent.body?.slice(0, 500) });
              throw new Error(`${cause.message}\n\nasked: ${asked}`, { cause });
            }),
          ),
        );
      },
    ),
    { numRuns: BATCHES, seed: 20260101, endOnFailure: true },
  );
  // Proves that the generators make enough right requests and meet every refusal.
  const statuses = [200, 201, 204, 304, 400, 404, 412, 413, 415, 422];
  expect([...seen.keys()].sort()).toEqual(statuses);
  expect(seen.get(201)).toBeGreaterThan(100);
});
