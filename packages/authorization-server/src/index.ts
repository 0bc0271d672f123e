export {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from './authorization-server.ts';
export type { Control } from './control.ts';
export { InvalidTenant, StartError } from './errors.ts';
export { type Fault, InvalidFault, type WaitingFault } from './faults.ts';
export type { RotateOptions } from './key-ring.ts';
export type { Action, Api, Application, Tenant, User } from './tenant.ts';
export { demoTenantFile, loadTenant } from './tenant-file.ts';
export type { Step, TimedStep, Transaction } from './transactions.ts';
