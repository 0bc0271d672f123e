import { errors } from '../oidc-provider.ts';
import {
  isFederated,
  offeredConnections,
  offersPasswords,
  passwordDatabase,
} from './connections.ts';
import { findApplication, type Tenant } from './tenant.ts';

/**
 * Judges the parameter `connection` of an authorization request; an empty one counts as none.
 *
 * @throws InvalidRequest, in Auth0's words, when there is no such connection, when it is not enabled
 *   for the application, or when none is.
 */
export function checkConnection(tenant: Tenant, value: unknown, clientId: string): void {
  const application = findApplication(tenant, clientId);
  const offered = offeredConnections(tenant, application);
  const passwords = offersPasswords(tenant, application);
  if (!value) {
    if (passwords || offered.length > 0) return;
    throw new errors.InvalidRequest('no connections enabled for the client');
  }
  const isDatabase = value === passwordDatabase(tenant).name;
  if (!isDatabase && !tenant.connections.some((one) => isFederated(one) && one.name === value)) {
    throw new errors.InvalidRequest('the connection was not found');
  }
  if (isDatabase ? !passwords : !offered.some(({ name }) => name === value)) {
    throw new errors.InvalidRequest('the connection was disabled');
  }
}
