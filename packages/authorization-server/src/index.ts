export {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from './authorization-server.ts';
export { InvalidTenant, StartError } from './errors.ts';
export type { Action, Api, Application, Tenant, User } from './tenant.ts';
export { demoTenantFile, loadTenant } from './tenant-file.ts';
