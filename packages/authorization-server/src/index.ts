export { StartError } from '@koa-oauth/service';
export {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from './authorization-server.ts';
export type { Control } from './control/control.ts';
export { type Fault, InvalidFault, type WaitingFault } from './control/faults.ts';
export type { RotateOptions } from './keys/key-ring.ts';
export type { Step, TimedStep, Transaction } from './log/transactions.ts';
export { type Keywords, readKeywords } from './tenant/keywords.ts';
export { demoTenantFile, InvalidTenant, type LoadOptions, loadTenant } from './tenant/load.ts';
export type { Action, Api, Application, Tenant, User } from './tenant/tenant.ts';
