import Router from '@koa/router';
import { ROUTES } from '../endpoints.ts';
import { Layout, toPage } from './layout.tsx';

const DOCUMENTS = [
  ['/.well-known/openid-configuration', 'Discovery document', 'its endpoints and what it can do'],
  [ROUTES.jwks, 'Key set', 'the public keys that its tokens are signed with'],
] as const;

/** `GET /`: says what this server is, for a developer who opens the issuer's address. */
export function welcomeRoutes({ tenantName }: { readonly tenantName: string }): Router {
  return new Router().get('/', (ctx) => {
    ctx.type = 'html';
    ctx.body = welcomePage(tenantName);
  });
}

function welcomePage(tenantName: string): string {
  return toPage(
    <Layout title="Welcome" tenantName={tenantName}>
      <header class="card-head">
        <h1>{tenantName}</h1>
        <p>
          This authorization server is up. It signs people in for the applications of this tenant:
          open one of them, and it sends you here.
        </p>
      </header>
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
}
