import { expect, test } from '@jest/globals';
import { createLimits } from '../../src/http/limits.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';

test('are the tenant’s, and each set counts for itself', () => {
  const tenant = loadTenant(demoTenantFile);
  tenant.attack_protection.brute_force_protection.max_attempts = 1;
  const limits = createLimits(tenant);
  expect(limits.tokenRequests).toBeUndefined();
  expect(limits.attempts.begin('alice', '::1')).toBeUndefined();
  expect(limits.attempts.begin('alice', '::1')).toBeGreaterThan(0);
  expect(createLimits(tenant).attempts.begin('alice', '::1')).toBeUndefined();
  tenant.rate_limits.token = { limit: 1, window: 10 };
  expect(createLimits(tenant).tokenRequests).toEqual(expect.any(Function));
});
