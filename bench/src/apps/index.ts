import type { MakeApp } from './make-app.ts';

/**
 * Apps that are compared. The first two are the references. All answer `GET /` with the same small
 * JSON document. Only the process that runs an app loads it.
 */
export const APPS = {
  'Koa, no authentication': async () => (await import('./bare.ts')).bare,
  'Koa + one crypto.verify': async () => (await import('./bare.ts')).bareWithVerify,
  'koa-oauth': async () => (await import('./koa-oauth.ts')).koaOauth,
  'koa-oauth with revocations': async () =>
    (await import('./koa-oauth.ts')).koaOauthWithRevocations,
  'koa-oauth, verifiedTokens: false': async () => (await import('./koa-oauth.ts')).koaOauthUncached,
  'koa-jwt alone, given the key': async () => (await import('./koa-jwt.ts')).koaJwtAlone,
  'koa-jwt + jwks-rsa as documented': async () => (await import('./koa-jwt.ts')).koaJwtAsDocumented,
  'express-oauth2-jwt-bearer': async () =>
    (await import('./express-oauth2-jwt-bearer.ts')).expressOauth2JwtBearer,
  'Koa + jose': async () => (await import('./jose.ts')).joseOnKoa,
  'Koa + aws-jwt-verify': async () => (await import('./aws-jwt-verify.ts')).awsJwtVerify,
} satisfies Record<string, () => Promise<MakeApp>>;

/** Apps that answer on other paths than `GET /`. */
export const CONTACTS_APPS = {
  'contacts API': async () => (await import('./contacts-api.ts')).contactsApi,
} satisfies Record<string, () => Promise<MakeApp>>;

/** Apps that sign users in. All answer `GET /` with the name of the user. */
export const CLIENT_APPS = {
  'koa-oauth client': async () => (await import('./koa-oauth-client.ts')).koaOauthClient,
  'express-openid-connect': async () =>
    (await import('./express-openid-connect.ts')).expressOpenidConnect,
} satisfies Record<string, () => Promise<MakeApp>>;

/** Apps that get a bound token and a proof. */
export const DPOP_APPS = {
  'Koa + one ES256 verify': async () => (await import('./dpop.ts')).koaAndOneEs256,
  'koa-oauth with DPoP': async () => (await import('./dpop.ts')).koaOauthDpop,
  'express-oauth2-jwt-bearer with DPoP': async () => (await import('./dpop.ts')).expressDpop,
  'Koa + oauth4webapi with DPoP': async () => (await import('./dpop.ts')).oauth4webapiDpop,
} satisfies Record<string, () => Promise<MakeApp>>;

export type AppName =
  | keyof typeof APPS
  | keyof typeof CONTACTS_APPS
  | keyof typeof CLIENT_APPS
  | keyof typeof DPOP_APPS;
