import { createPublicKey, verify } from 'node:crypto';
import { auth } from '@koa-oauth/resource-server';
import { redisSet } from '@koa-oauth/resource-server/redis';
import express from 'express';
import { auth as expressAuth } from 'express-oauth2-jwt-bearer';
import Koa from 'koa';
import * as oauth from 'oauth4webapi';
import { answer } from './bare.ts';
import type { MakeApp } from './make-app.ts';

/** Public address of koa-oauth. The other apps read theirs from the request. */
export const BASE_URL = 'http://localhost:3001';

/** Koa and one verified signature, as each proof needs it. */
export const koaAndOneEs256: MakeApp = async ({ proofKey }) => {
  const key = createPublicKey({ key: proofKey as never, format: 'jwk' });
  const options = { key, dsaEncoding: 'ieee-p1363' } as const;
  const app = new Koa();
  app.silent = true;
  app.use(async function verifies(ctx, next) {
    const proof = ctx.get('dpop');
    const end = proof.lastIndexOf('.');
    const signature = Buffer.from(proof.slice(end + 1), 'base64url');
    if (!verify('sha256', Buffer.from(proof.slice(0, end)), options, signature)) ctx.throw(401);
    await next();
  });
  return app.use(answer).callback();
};

export const koaOauthDpop: MakeApp = async ({ issuer, audience, storeURL }) => {
  const store = storeURL === undefined ? undefined : redisSet({ url: storeURL, prefix: 'bench:' });
  const app = new Koa();
  app.silent = true;
  app.use(auth({ issuerBaseURL: issuer, audience, dpop: { baseURL: BASE_URL, store } }));
  return app.use(answer).callback();
};

export const expressDpop: MakeApp = async ({ issuer, audience }) => {
  const app = express();
  const dpop = { enabled: true, required: true };
  app.use(expressAuth({ issuerBaseURL: issuer, audience, tokenSigningAlg: 'RS256', dpop }));
  return app.get('/', (_, response) => {
    response.json({ ok: true });
  });
};

export const oauth4webapiDpop: MakeApp = async ({ issuer, audience }) => {
  const options = { requireDPoP: true, [oauth.allowInsecureRequests]: true };
  const url = new URL(issuer);
  const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, options));
  const app = new Koa();
  app.silent = true;
  app.use(async function verifies(ctx, next) {
    const headers = { authorization: ctx.get('authorization'), dpop: ctx.get('dpop') };
    const request = new Request(ctx.href, { headers });
    try {
      ctx.state.user = await oauth.validateJwtAccessToken(as, request, audience, options);
    } catch {
      ctx.throw(401);
    }
    await next();
  });
  return app.use(answer).callback();
};
