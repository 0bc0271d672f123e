import { InvalidSettings } from './errors.ts';
import { isConfidentialUrl, isLoopback } from './http/loopback.ts';
import { demoTenantFile } from './tenant/load.ts';

/** What the environment says, checked. */
export interface Settings {
  /** TCP port, 0 for any free one. */
  readonly port: number;
  /** Address to listen on. */
  readonly host: string;
  /** Issuer identifier with the slash at its end; undefined: `http://localhost:PORT/`. */
  readonly issuer: string | undefined;
  /** Path of the tenant file. */
  readonly tenant: string;
  /** `memory:` or `file:PATH`. */
  readonly state: string;
  /** `memory:` or `file:PATH`. */
  readonly keys: string;
  /** TCP port of the control, 0 for any free one; undefined: none. */
  readonly control: number | undefined;
  /** Whether a changed tenant file is taken while the server runs. */
  readonly watch: boolean;
  readonly logLevel: string;
}

/** A setting as the README shows it, in Markdown. */
export interface Setting {
  readonly name: string;
  readonly meaning: string;
  /** The default, or what holds without one. */
  readonly preset: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

interface Row {
  readonly meaning: string;
  readonly preset?: string;
  /** What holds without a default, in Markdown. */
  readonly otherwise?: string;
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];

// Each with its default, or with what holds instead.
const TABLE = {
  PORT: { preset: '3002', meaning: 'port it listens on; 0: any free one' },
  HOST: { preset: '127.0.0.1', meaning: 'address it listens on' },
  ISSUER: {
    otherwise: '`http://localhost:PORT/`',
    meaning: 'its identifier; a slash is put at its end',
  },
  TENANT: { otherwise: 'the demo tenant', meaning: 'the tenant file' },
  STATE: {
    preset: 'memory:',
    meaning: '`memory:` or `file:PATH`: logins, consents, refresh tokens',
  },
  KEYS: {
    preset: 'file:./data/issuer-keys.json',
    meaning: '`memory:` or `file:PATH`: the signing keys, made when missing',
  },
  CONTROL: {
    otherwise: 'off',
    meaning: 'port of [the control](#the-control), on 127.0.0.1; 0: any',
  },
  WATCH: {
    preset: 'no',
    meaning: '`yes`: a changed tenant is [taken while it runs](#while-it-runs)',
  },
  LOG_LEVEL: { preset: 'info', meaning: 'of the JSON log on standard output' },
  UNSAFE_ALLOW_NETWORK: {
    preset: 'no',
    meaning: '`yes` lets it listen on an address that is not loopback',
  },
  UNSAFE_ALLOW_PRODUCTION: {
    preset: 'no',
    meaning: '`yes` lets it start with `NODE_ENV=production`',
  },
} satisfies Record<string, Row>;

/** Every setting that is read, in the order of the README. */
export const SETTINGS: readonly Setting[] = Object.entries<Row>(TABLE).map(
  ([name, { meaning, preset, otherwise = 'none' }]) => ({
    name,
    meaning,
    preset: preset === undefined ? otherwise : `\`${preset}\``,
  }),
);

/**
 * Reads the settings; an empty variable counts as not set.
 *
 * @throws InvalidSettings naming every wrong setting, what is wrong and what would be right.
 */
export function readSettings(environment: Environment): Settings {
  const faults: string[] = [];
  const given = (name: keyof typeof TABLE) => environment[name]?.trim() || undefined;
  const get = (name: keyof typeof TABLE): string => {
    const { preset = '' }: Row = TABLE[name];
    return given(name) ?? preset;
  };
  const check = (right: boolean, fault: string): void => {
    if (!right) faults.push(fault);
  };

  const port = get('PORT');
  checkPort('PORT', port, '3002');
  const control = given('CONTROL');
  if (control !== undefined) checkPort('CONTROL', control, '3003');

  const host = get('HOST');
  const openToNetwork = get('UNSAFE_ALLOW_NETWORK');
  checkSwitch('UNSAFE_ALLOW_NETWORK', openToNetwork);
  check(
    isLoopback(host) || openToNetwork === 'yes',
    `HOST is "${host}": this server shows its users' passwords, so it listens on a loopback ` +
      'address only (127.0.0.1, ::1 or localhost); if others may reach it, set UNSAFE_ALLOW_NETWORK=yes',
  );

  const production = get('UNSAFE_ALLOW_PRODUCTION');
  checkSwitch('UNSAFE_ALLOW_PRODUCTION', production);
  check(
    environment.NODE_ENV !== 'production' || production === 'yes',
    'NODE_ENV is "production": this server is for development and tests; point the API and the ' +
      'web app at a real issuer, or set UNSAFE_ALLOW_PRODUCTION=yes',
  );

  const issuer = given('ISSUER');
  const issuerFault = issuer === undefined ? undefined : faultOfIssuer(issuer);
  check(issuerFault === undefined, `ISSUER is "${issuer}": ${issuerFault}`);

  const state = get('STATE');
  checkPlace('STATE', state, 'file:./data/issuer.db');
  const keys = get('KEYS');
  checkPlace('KEYS', keys, 'file:./data/issuer-keys.json');

  const watch = get('WATCH');
  checkSwitch('WATCH', watch);

  const logLevel = get('LOG_LEVEL');
  check(
    LOG_LEVELS.includes(logLevel),
    `LOG_LEVEL is "${logLevel}": give one of ${LOG_LEVELS.join(', ')}`,
  );

  if (faults.length > 0) throw new InvalidSettings(faults);
  return {
    port: Number(port),
    host,
    // The address of a web site and its identifier differ by this slash only; Auth0's always have it.
    issuer: issuer === undefined ? undefined : new URL(issuer).href,
    tenant: given('TENANT') ?? demoTenantFile,
    state,
    keys,
    control: control === undefined ? undefined : Number(control),
    watch: watch === 'yes',
    logLevel,
  };

  function checkPort(name: string, value: string, example: string): void {
    check(
      /^\d{1,5}$/.test(value) && Number(value) <= 65_535,
      `${name} is "${value}": give a port number from 0 to 65535, for example ${example}`,
    );
  }

  function checkSwitch(name: string, value: string): void {
    check(value === 'yes' || value === 'no', `${name} is "${value}": give yes or no`);
  }

  function checkPlace(name: string, value: string, example: string): void {
    check(
      value === 'memory:' || /^file:./.test(value),
      `${name} is "${value}": give memory: or file:PATH, for example ${example}`,
    );
  }
}

/** RFC 8414 §2: `https`, no query or fragment; and what this server adds: no path. */
function faultOfIssuer(value: string): string | undefined {
  const example = 'for example http://localhost:3002/';
  if (!URL.canParse(value)) return `give an absolute URL, ${example}`;
  const url = new URL(value);
  if (!isConfidentialUrl(url)) {
    return `give an https URL, or http on a loopback address, ${example}`;
  }
  if (url.username || url.password) return `leave out the user name and password, ${example}`;
  if (value.includes('?') || value.includes('#')) {
    return `leave out the query and the fragment (RFC 8414 §2), ${example}`;
  }
  return url.pathname === '/' ? undefined : `leave out the path, ${example}`;
}
