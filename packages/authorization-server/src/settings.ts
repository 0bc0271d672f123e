import { isLoopback, listSettings, logLevel, port } from '@koa-oauth/service';
import { z } from 'zod';
import { issuerIdentifier, place } from './options.ts';
import { demoTenantFile } from './tenant/load.ts';

const yesOrNo = z.enum(['yes', 'no'], { error: 'must be yes or no' }).default('no');

const Environment = z.object({
  PORT: port().default(3002).describe('port it listens on; 0: any free one'),
  HOST: z.string().trim().default('127.0.0.1').describe('address it listens on'),
  ISSUER: issuerIdentifier.optional().meta({
    description: 'its identifier; a slash is added at its end',
    defaultText: '`http://localhost:PORT/`',
  }),
  TENANT: z.string().trim().optional().meta({
    description: '[the tenant](#the-tenant-file), a file or folder',
    defaultText: 'the demo tenant',
  }),
  AUTH0_KEYWORD_REPLACE_MAPPINGS: z.string().trim().optional().meta({
    description: 'values of [keywords](#keywords): JSON, or a file with this member',
    defaultText: 'none',
  }),
  STATE: place('file:./data/issuer.db')
    .default('memory:')
    .describe('`memory:` or `file:PATH`: logins, consents, refresh tokens'),
  KEYS: place('file:./data/issuer-keys.json')
    .default('file:./data/issuer-keys.json')
    .describe('`memory:` or `file:PATH`: the signing keys, made when missing'),
  CONTROL: port().optional().meta({
    description: 'port of [the control](#the-control), on 127.0.0.1; 0: any',
    defaultText: 'off',
  }),
  WATCH: yesOrNo.describe('`yes`: a changed tenant is [used while it runs](#while-it-runs)'),
  LOG_LEVEL: logLevel().default('info').describe('level of the JSON log on standard output'),
  UNSAFE_ALLOW_NETWORK: yesOrNo.describe('`yes` lets it listen on an address that is not loopback'),
  UNSAFE_ALLOW_PRODUCTION: yesOrNo.describe('`yes` lets it start with `NODE_ENV=production`'),
});

/** All settings, in the order of the README. */
export const SETTINGS = listSettings(Environment);

export const Settings = Environment.extend({ NODE_ENV: z.string().trim().optional() })
  .superRefine(
    ({ HOST, UNSAFE_ALLOW_NETWORK, NODE_ENV, UNSAFE_ALLOW_PRODUCTION }, context) => {
      const fault = (name: string, message: string): void =>
        context.addIssue({ code: 'custom', path: [name], message });
      if (!isLoopback(HOST) && UNSAFE_ALLOW_NETWORK !== 'yes') {
        fault(
          'HOST',
          "must be a loopback address (127.0.0.1, ::1 or localhost): this server shows its users' " +
            'passwords; if others may reach it, set UNSAFE_ALLOW_NETWORK=yes',
        );
      }
      if (NODE_ENV === 'production' && UNSAFE_ALLOW_PRODUCTION !== 'yes') {
        fault(
          'NODE_ENV',
          'must not be production: this server is for development and tests; point the API and ' +
            'the web app at a real issuer, or set UNSAFE_ALLOW_PRODUCTION=yes',
        );
      }
    },
    { when: () => true },
  )
  .transform((environment) => ({
    port: environment.PORT,
    host: environment.HOST,
    issuer: environment.ISSUER,
    tenant: environment.TENANT ?? demoTenantFile,
    state: environment.STATE,
    keys: environment.KEYS,
    control: environment.CONTROL,
    watch: environment.WATCH === 'yes',
    logLevel: environment.LOG_LEVEL,
  }));
