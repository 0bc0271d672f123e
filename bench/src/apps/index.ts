import type { RequestListener } from 'node:http';
import { awsJwtVerify } from './aws-jwt-verify.ts';
import { bare, bareWithVerify } from './bare.ts';
import { expressOauth2JwtBearer } from './express-oauth2-jwt-bearer.ts';
import { joseOnKoa } from './jose.ts';
import { koaJwtAsDocumented } from './koa-jwt.ts';
import { koaOauth, koaOauthUncached } from './koa-oauth.ts';

/** What each app is given. All answer `GET /` with the same small JSON document. */
export interface AppOptions {
  readonly issuer: string;
  readonly audience: string;
}

export type MakeApp = (options: AppOptions) => Promise<RequestListener>;

/** The apps that are held side by side; the first two are what the others are measured in. */
export const APPS = {
  'Koa, no authentication': bare,
  'Koa + one crypto.verify': bareWithVerify,
  'koa-oauth': koaOauth,
  'koa-oauth, verifiedTokens: false': koaOauthUncached,
  'koa-jwt + jwks-rsa as documented': koaJwtAsDocumented,
  'express-oauth2-jwt-bearer': expressOauth2JwtBearer,
  'Koa + jose': joseOnKoa,
  'Koa + aws-jwt-verify': awsJwtVerify,
} satisfies Record<string, MakeApp>;

export type AppName = keyof typeof APPS;
