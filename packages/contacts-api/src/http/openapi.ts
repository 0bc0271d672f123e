import type { DpopOptions, SignInOptions } from '@koa-oauth/resource-server';
import { z } from 'zod';
import { type Answer, type Needs, type Operation, SCOPES } from '../operation.ts';

export interface DocumentOptions {
  readonly operations: readonly Operation[];
  readonly baseURL: string;
  readonly issuers: readonly string[];
  readonly audience: string;
  readonly dpop: Dpop;
}

type Dpop = Pick<DpopOptions, 'required' | 'nonce'>;

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
type Answers = Operation['answers'];

/** Returns the OpenAPI document of the operations. */
export function openApiDocument(options: DocumentOptions): Json {
  const { operations, baseURL, issuers, audience, dpop } = options;
  const describer = new Describer(dpop);
  const paths: Record<string, Json> = {};
  for (const operation of operations) {
    const { path, method } = operation;
    paths[path] = { ...paths[path], [method]: describer.operation(operation) };
  }
  const scopes = Object.entries(SCOPES).map(([name, meaning]) => `- \`${name}\`: ${meaning}`);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Contacts',
      version: '1.0.0',
      description: `Contacts of your organization. Send an access token for the audience \`${audience}\`, issued by ${issuers.join(' or ')}, with the scopes that an operation names:\n\n${scopes.join('\n')}`,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: baseURL }],
    tags: [
      { name: 'Contacts', description: 'Contacts and the activity on them' },
      { name: 'Service', description: 'The service itself' },
    ],
    paths,
    components: {
      schemas: describer.schemas,
      securitySchemes: Object.fromEntries(
        schemesOf(dpop).map((name) => [name, SECURITY_SCHEMES[name]]),
      ),
    },
  };
}

const SECURITY_SCHEMES = {
  accessToken: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'An access token (RFC 9068).',
  },
  boundAccessToken: {
    type: 'http',
    scheme: 'DPoP',
    description:
      'The scheme `DPoP`, not `Bearer`: an access token that is bound to a key, with a proof of this key in the header `DPoP` (RFC 9449). This page makes no proofs.',
  },
} as const;

function schemesOf({ required }: Dpop): (keyof typeof SECURITY_SCHEMES)[] {
  return required ? ['boundAccessToken'] : ['accessToken', 'boundAccessToken'];
}

/** Describes operations in OpenAPI, and collects the named schemas that they refer to. */
class Describer {
  readonly schemas: Json = {};
  readonly #dpop: Dpop;

  constructor(dpop: Dpop) {
    this.#dpop = dpop;
  }

  operation(operation: Operation): Json {
    const { id, summary, description, needs, body, answers } = operation;
    const { scope, role, signIn } = needs ?? {};
    const needed = [
      scope && `the scope \`${scope}\``,
      role && `the role \`${role}\``,
      signIn && signInText(signIn),
    ]
      .filter(Boolean)
      .join(' and ');
    const text = [description, needed && `Needs ${needed}.`].filter(Boolean).join(' ');
    const allAnswers = Object.entries<Answer>({
      ...refusalsOf(operation, this.#dpop),
      ...answers,
    });
    return {
      operationId: id,
      summary,
      tags: [needs ? 'Contacts' : 'Service'],
      ...(text && { description: text }),
      security: needs
        ? schemesOf(this.#dpop).map((name) => ({ [name]: scope ? [scope] : [] }))
        : [],
      ...(role && { 'x-required-role': role }),
      parameters: this.#parameters(operation),
      ...(body && {
        requestBody: { required: true, content: this.#content(body.types, body.schema, 'input') },
      }),
      responses: Object.fromEntries(
        allAnswers.map(([status, answer]) => [status, this.#answer(Number(status), answer)]),
      ),
    };
  }

  #parameters({ path, query, headers = {}, needs }: Operation): Json[] {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => {
      return { name, in: 'path', required: true, schema: { type: 'string', format: 'uuid' } };
    });
    const inQuery = Object.entries<z.ZodType>(query?.shape ?? {}).map(([name, schema]) => {
      const { description, ...rest } = this.#schema(schema, 'input');
      const described = { ...rest, default: schema.safeParse(undefined).data };
      return { name, in: 'query', required: false, description, schema: described };
    });
    const inHeader = Object.entries(headers).map(([name, description]) => {
      return { name, in: 'header', required: false, description, schema: { type: 'string' } };
    });
    return [...inPath, ...inQuery, ...inHeader, ...(needs ? [this.#proofParameter()] : [])];
  }

  #proofParameter(): Json {
    const { required = false, nonce } = this.#dpop;
    const withNonce = nonce ? ' It contains the nonce of the last answer’s `DPoP-Nonce`.' : '';
    return {
      name: 'DPoP',
      in: 'header',
      required,
      description: `Proof of the key that the access token is bound to (RFC 9449 §4), for this request alone.${withNonce}`,
      schema: { type: 'string' },
    };
  }

  #answer(status: number, { description, headers = {}, schema }: Answer): Json {
    const described = Object.entries(headers).map(([name, text]) => {
      return [name, { description: text, schema: { type: 'string' } }];
    });
    const problem = status >= 400 && this.#content(['application/problem+json'], Problem, 'output');
    const body = schema ? this.#content(['application/json'], schema, 'output') : problem;
    return {
      description,
      ...(described.length > 0 && { headers: Object.fromEntries(described) }),
      ...(body && { content: body }),
    };
  }

  #content(types: readonly string[], schema: z.ZodType, io: 'input' | 'output'): Json {
    const described = this.#schema(schema, io);
    return Object.fromEntries(types.map((type) => [type, { schema: described }]));
  }

  // A schema with a name becomes a component, and a reference everywhere else.
  #schema(schema: z.ZodType, io: 'input' | 'output'): Json {
    const jsonSchema = z.toJSONSchema(schema, {
      io,
      unrepresentable: 'any',
      override: ({ jsonSchema }) => {
        // A later version may add members to an answer; clients must ignore unknown ones.
        if (io === 'output' && jsonSchema.additionalProperties === false)
          delete jsonSchema.additionalProperties;
        // The format or the type already says the same.
        if (jsonSchema.format || jsonSchema.type === 'integer') delete jsonSchema.pattern;
        if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
        if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      },
    });
    const { $schema: _, $defs = {}, ...rest } = jsonSchema;
    const toComponents = (value: object): Json =>
      JSON.parse(JSON.stringify(value).replaceAll('"#/$defs/', '"#/components/schemas/'));
    Object.assign(this.schemas, toComponents($defs));
    return toComponents(rest);
  }
}

const RETRY_AFTER = { 'Retry-After': 'seconds to wait' };

const INPUT_REFUSALS: Answers = { 400: { description: 'the request is malformed' } };
const BODY_REFUSALS: Answers = {
  413: { description: 'the body is too large' },
  415: { description: 'the media type of the body is not supported' },
  422: { description: 'fields are wrong; `errors` names each' },
};

function refusalsOf({ needs, query, body }: Operation, dpop: Dpop): Answers {
  return {
    ...((needs || query || body) && INPUT_REFUSALS),
    ...(needs && accessRefusals(needs, dpop)),
    ...(body && BODY_REFUSALS),
  };
}

function signInText({ acr, maxAge }: SignInOptions): string {
  const withAcr = acr === undefined ? '' : ` with the \`acr\` ${String(acr)}`;
  return `a sign-in${withAcr}${maxAge === undefined ? '' : ` in the last ${maxAge} seconds`}`;
}

function accessRefusals({ scope, role, signIn }: Needs, { required, nonce }: Dpop): Answers {
  const lacking = role ? 'the scope or the role' : scope && 'the scope';
  const challenges = required
    ? 'a challenge for the scheme DPoP (RFC 9449 §7.1)'
    : 'two challenges, for the schemes Bearer (RFC 6750) and DPoP (RFC 9449 §7.1)';
  return {
    401: {
      description: `the access token or its DPoP proof is missing or not valid${signIn ? ', or the sign-in is too weak or too old' : ''}`,
      headers: {
        'WWW-Authenticate': `${challenges}${signIn ? '; the required sign-in (RFC 9470)' : ''}`,
        ...(nonce && { 'DPoP-Nonce': 'the nonce for the next proof (RFC 9449 §9)' }),
      },
    },
    403: {
      description: lacking
        ? `the access token lacks ${lacking}`
        : 'a custom claim of the access token has a wrong value',
      headers: { 'WWW-Authenticate': `${challenges}, with the required scope` },
    },
    429: {
      description: 'too many requests',
      headers: { ...RETRY_AFTER, RateLimit: 'requests left until the limit resets' },
    },
    503: {
      description: 'the issuer’s keys, the database or the store of used proofs is unavailable',
      headers: RETRY_AFTER,
    },
  };
}
