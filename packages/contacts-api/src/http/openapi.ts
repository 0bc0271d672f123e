import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname } from 'node:path';
import Router from '@koa/router';
import { send } from '@koa/send';
import { z } from 'zod';
import { type Answer, type Operation, SCOPES } from '../operation.ts';

const viewer = createRequire(import.meta.url).resolve(
  'openapi-explorer/dist/browser/openapi-explorer.min.js',
);
const page = readFileSync(new URL('../../assets/docs.html', import.meta.url), 'utf8');

export interface DocumentOptions {
  readonly operations: readonly Operation[];
  readonly baseURL: string;
  readonly issuerBaseURL: string;
  readonly audience: string;
}

/** How every error is answered. */
export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional(),
    code: z.string().optional(),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
    requestId: z.string().optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457' });

type Json = Record<string, unknown>;

/** `/openapi.json`, and `/docs`: a page that shows it and calls the API. Nothing comes from another host. */
export function docsRoutes(options: DocumentOptions): Router {
  const json = JSON.stringify(openApiDocument(options));
  const router = new Router({ strict: true, sensitive: true });
  router.get('/openapi.json', (ctx) => {
    ctx.type = 'application/json';
    ctx.body = json;
  });
  router.get('/docs', (ctx) => {
    ctx.type = 'html';
    ctx.body = page;
  });
  router.get('/docs/viewer.js', async (ctx) => {
    ctx.remove('Cache-Control');
    await send(ctx, basename(viewer), { root: dirname(viewer), maxAge: 3_600_000 });
  });
  return router;
}

/** Makes the OpenAPI 3.1 document of the operations, from the declarations that the router is made of. */
export function openApiDocument({
  operations,
  baseURL,
  issuerBaseURL,
  audience,
}: DocumentOptions): Json {
  const schemas: Json = {};
  const paths: Record<string, Json> = {};
  for (const operation of operations) {
    paths[operation.path] = {
      ...paths[operation.path],
      [operation.method]: describeOperation(operation, schemas),
    };
  }
  const scopes = Object.entries(SCOPES).map(([name, meaning]) => `- \`${name}\`: ${meaning}`);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Contacts',
      version: '1.0.0',
      description: `Contacts of your organisation. Bring an access token for the audience \`${audience}\`, issued by ${issuerBaseURL}, with the scopes that an operation names:\n\n${scopes.join('\n')}`,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: baseURL }],
    tags: [
      { name: 'Contacts', description: 'Contacts, and who changed them' },
      { name: 'Service', description: 'The service itself' },
    ],
    paths,
    components: {
      schemas,
      securitySchemes: {
        accessToken: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'An access token (RFC 9068).',
        },
      },
    },
  };
}

function describeOperation(operation: Operation, schemas: Json): Json {
  const { id, summary, description, needs, body, answers } = operation;
  const { scope, role } = needs ?? {};
  const asked = [scope && `the scope \`${scope}\``, role && `the role \`${role}\``];
  const asking = asked.some(Boolean) && `Needs ${asked.filter(Boolean).join(' and ')}.`;
  const text = [description, asking].filter(Boolean).join(' ');
  return {
    operationId: id,
    summary,
    tags: [needs ? 'Contacts' : 'Service'],
    ...(text && { description: text }),
    security: needs ? [{ accessToken: scope ? [scope] : [] }] : [],
    ...(role && { 'x-required-role': role }),
    parameters: parameters(operation, schemas),
    ...(body && {
      requestBody: { required: true, content: content(body.types, body.schema, 'input', schemas) },
    }),
    responses: Object.fromEntries(
      Object.entries<Answer>({ ...refusals(operation), ...answers } as Operation['answers']).map(
        ([status, answer]) => [status, describeAnswer(Number(status), answer, schemas)],
      ),
    ),
  };
}

function parameters({ path, query, headers = {} }: Operation, schemas: Json): Json[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => {
    return { name, in: 'path', required: true, schema: { type: 'string', format: 'uuid' } };
  });
  const inQuery = Object.entries(query?.shape ?? {}).map(([name, schema]) => {
    const { description, ...rest } = schemaOf(schema as z.ZodType, 'input', schemas);
    const { data } = (schema as z.ZodType).safeParse(undefined);
    return { name, in: 'query', required: false, description, schema: { ...rest, default: data } };
  });
  const inHeader = Object.entries(headers).map(([name, description]) => {
    return { name, in: 'header', required: false, description, schema: { type: 'string' } };
  });
  return [...inPath, ...inQuery, ...inHeader];
}

/** Answers that every such operation may get, in addition to its own. */
function refusals({ needs, query, body }: Operation): Record<number, Answer | undefined> {
  return {
    ...((needs || query || body) && { 400: { description: 'the request is malformed' } }),
    ...(needs && {
      401: {
        description: 'no good access token came',
        headers: { 'WWW-Authenticate': 'what to bring (RFC 6750)' },
      },
      403: {
        description: needs.role
          ? 'the access token lacks the scope or the role'
          : needs.scope
            ? 'the access token lacks the scope'
            : 'a custom claim of the access token does not fit',
        headers: { 'WWW-Authenticate': 'the scope that is needed (RFC 6750)' },
      },
      429: {
        description: 'too many requests',
        headers: { 'Retry-After': 'seconds to wait', RateLimit: 'what is left' },
      },
      503: {
        description: 'the issuer’s keys or the database cannot be had',
        headers: { 'Retry-After': 'seconds to wait' },
      },
    }),
    ...(body && {
      413: { description: 'the body is too large' },
      415: { description: 'the body is of another media type' },
      422: { description: 'fields are wrong; `errors` names each' },
    }),
  };
}

function describeAnswer(status: number, answer: Answer, schemas: Json): Json {
  const { description, headers = {}, schema } = answer;
  const described = Object.entries(headers).map(([name, text]) => {
    return [name, { description: text, schema: { type: 'string' } }];
  });
  const problem =
    status >= 400 && content(['application/problem+json'], Problem, 'output', schemas);
  const body = schema ? content(['application/json'], schema, 'output', schemas) : problem;
  return {
    description,
    ...(described.length > 0 && { headers: Object.fromEntries(described) }),
    ...(body && { content: body }),
  };
}

function content(
  types: readonly string[],
  schema: z.ZodType,
  io: 'input' | 'output',
  schemas: Json,
): Json {
  const described = schemaOf(schema, io, schemas);
  return Object.fromEntries(types.map((type) => [type, { schema: described }]));
}

// A schema with a name becomes a component; wherever else it stands, a reference to that.
function schemaOf(schema: z.ZodType, io: 'input' | 'output', schemas: Json): Json {
  const {
    $schema: _,
    $defs = {},
    ...rest
  } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      // An answer may get more fields; who reads it skips what it doesn't know.
      if (io === 'output' && jsonSchema.additionalProperties === false)
        delete jsonSchema.additionalProperties;
      // Said already, by the format or the type.
      if (jsonSchema.format || jsonSchema.type === 'integer') delete jsonSchema.pattern;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    },
  });
  const located = (value: object): Json =>
    JSON.parse(JSON.stringify(value).replaceAll('"#/$defs/', '"#/components/schemas/'));
  Object.assign(schemas, located($defs));
  return located(rest);
}
