import Router from '@koa/router';
import type { AppContext } from '../context.ts';
import { ROUTES } from '../endpoints.ts';
import { Layout, showPage } from './layout.tsx';

const DOCUMENTS = [
  ['/.well-known/openid-configuration', 'Discovery document', 'its endpoints and what it can do'],
  [ROUTES.jwks, 'Key set', 'the public keys that its tokens are signed with'],
] as const;

const LEAD =
  'This authorization server is up. It signs people in for the applications of this tenant: open one of ' +
  'them, and it sends you here.';

/** `GET /`: says what this server is, for a developer who opens the issuer's address. */
export function welcomeRoutes({ tenantName }: AppContext): Router {
  return new Router().get('/', (ctx) => {
    showPage(
      ctx,
      <Layout title="Welcome" tenantName={tenantName} heading={tenantName} lead={LEAD}>
        <ul class="documents">
          {DOCUMENTS.map(([path, name, text]) => (
            <li key={path}>
              <a href={path}>{name}</a>
              <span>{text}</span>
            </li>
          ))}
        </ul>
      </Layout>,
    );
  });
}
