import { auth, type IsRevoked, revocations } from '@koa-oauth/resource-server';
import Koa from 'koa';
import { answer } from './bare.ts';
import type { MakeApp } from './make-app.ts';

const make =
  (options: { verifiedTokens?: false; isRevoked?: IsRevoked }): MakeApp =>
  async ({ issuer, audience }) => {
    const app = new Koa();
    app.silent = true;
    app.use(auth({ issuerBaseURL: issuer, audience, ...options }));
    return app.use(answer).callback();
  };

export const koaOauth = make({});
export const koaOauthWithRevocations = make({ isRevoked: revocations().isRevoked });
export const koaOauthUncached = make({ verifiedTokens: false });
