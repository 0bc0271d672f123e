import { generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import got, { type Got } from 'got';
import Database from 'libsql';
import { CookieJar } from 'tough-cookie';

/** Tables, and the user `admin` with the password `password`. */
export const GLEWLWYD_TABLES = '/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3';

interface GlewlwydOptions {
  /** Where it listens. */
  readonly origin: string;
  readonly web: string;
  readonly audience: string;
  readonly client: { readonly id: string; readonly secret: string };
  readonly scopes: readonly string[];
}

/** Writes its configuration and database. @returns path of the configuration */
export async function writeGlewlwydFiles(folder: string, origin: string): Promise<string> {
  const databaseFile = join(folder, 'glewlwyd.db');
  const database = new Database(databaseFile);
  database.exec(await readFile(GLEWLWYD_TABLES, 'utf8'));
  database.close();
  const file = join(folder, 'glewlwyd.conf');
  const modules = ['user', 'client', 'plugin'].map(
    (name) => `${name}_module_path="/usr/lib/glewlwyd/${name}"`,
  );
  await writeFile(
    file,
    `port=${new URL(origin).port}
    bind_address="127.0.0.1"
    external_url="${origin}"
    login_url="login.html"
    api_prefix="api"
    log_mode="console"
    log_level="ERROR"
    session_key="glewlwyd"
    admin_scope="g_admin"
    profile_scope="g_profile"
    ${modules.join('\n')}
    user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"
    hash_algorithm="SHA512"
    static_files_path="/usr/share/glewlwyd/webapp/"
    database = { type = "sqlite3" path = "${databaseFile}" };`,
  );
  return file;
}

/** Client of its REST API, with the cookies of one user. */
export function glewlwydRest(origin: string, cookieJar: CookieJar): Got {
  return got.extend({ prefixUrl: `${origin}/api`, cookieJar, retry: { limit: 0 } });
}

/** Adds the scopes, a user, the client, and the OpenID provider. @returns the issuer */
export async function setUpGlewlwyd(options: GlewlwydOptions): Promise<string> {
  const { origin, web, audience, client, scopes } = options;
  const issuer = `${origin}/api/oidc`;
  const admin = glewlwydRest(origin, new CookieJar());
  await admin.post('auth/', { json: { username: 'admin', password: 'password' } });
  for (const name of scopes.filter((scope) => scope !== 'openid')) {
    const rules = { password_required: true, password_max_age: 0, scheme: {} };
    await admin.post('scope/', { json: { name, display_name: name, ...rules } });
  }
  await admin.post('user/', {
    json: {
      username: 'alice',
      password: 'alice-password',
      name: 'Alice Example',
      email: 'alice@example.com',
      scope: ['g_profile', ...scopes],
    },
  });
  await admin.post('client/', {
    json: {
      client_id: client.id,
      client_secret: client.secret,
      confidential: true,
      enabled: true,
      authorization_type: ['code', 'refresh_token'],
      token_endpoint_auth_method: ['client_secret_post'],
      redirect_uri: [`${web}/callback`],
      scope: [],
    },
  });
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await admin.post('mod/plugin/', {
    json: {
      module: 'oidc',
      name: 'oidc',
      display_name: 'OpenID Connect',
      parameters: {
        iss: issuer,
        'jwt-type': 'rsa',
        'jwt-key-size': '256',
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
        cert: publicKey.export({ type: 'spki', format: 'pem' }),
        'jwks-show': true,
        'subject-type': 'public',
        'access-token-duration': 300,
        'refresh-token-duration': 86_400,
        'code-duration': 60,
        'refresh-token-rolling': true,
        'refresh-token-one-use': 'always',
        'auth-type-code-enabled': true,
        'auth-type-refresh-enabled': true,
        'pkce-allowed': true,
        'allowed-scope': scopes,
        'name-claim': 'on-demand',
        'name-claim-scope': ['profile'],
        'email-claim': 'on-demand',
        'email-claim-scope': ['email'],
        'resource-allowed': true,
        'resource-scope': Object.fromEntries(scopes.map((scope) => [scope, [audience]])),
        'session-management-allowed': true,
        'session-cookie-name': 'oidc',
        'session-cookie-expiration': 86_400,
      },
    },
  });
  return issuer;
}
