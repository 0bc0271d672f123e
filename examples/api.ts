// A protected API. It needs the issuer of the demo: PORT=3003 node examples/dist/api.js
import Router from '@koa/router';
import { type Auth, auth, claimIncludes, requiredScopes } from '@koa-oauth/resource-server';
import Koa from 'koa';
import { z } from 'zod';

const {
  ISSUER_BASE_URL: issuerBaseURL = 'http://localhost:3002',
  AUDIENCE: audience = 'https://contacts.example.com/api',
  PORT = '3003',
} = process.env;

const namespace = 'https://contacts.example.com/';
const schema = z.object({ org_id: z.string().min(1), roles: z.array(z.string()).default([]) });

const router = new Router<{ auth: Auth<z.infer<typeof schema>> }>();
router.use(auth({ issuerBaseURL, audience, claims: { namespace, schema } }));

router.get('/hello', (ctx) => {
  const { org_id, roles } = ctx.state.auth.claims; // validated: a string and a list of strings
  ctx.body = { hello: ctx.state.auth.payload.sub, organization: org_id, roles };
});
router.get('/contacts', requiredScopes('read:contacts'), (ctx) => {
  ctx.body = { of: ctx.state.auth.claims.org_id, items: [] };
});
router.get('/activity', claimIncludes(`${namespace}roles`, 'admin'), (ctx) => {
  ctx.body = { items: [] };
});

const app = new Koa(); // answers errors with their status, headers and public text
app.use(router.routes()).use(router.allowedMethods());
const server = app.listen(Number(PORT), '127.0.0.1', () => {
  const address = server.address();
  if (typeof address === 'object') console.log(`http://127.0.0.1:${address?.port}`);
});
