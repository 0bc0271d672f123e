import { expect, test } from '@jest/globals';
import { warnOfIgnoredSections } from '../src/ignored-sections.ts';
import { demoTenantFile, loadTenant } from '../src/tenant/load.ts';
import { keptLog } from './support/kept-log.ts';

test('each section is listed once, however often the tenant is read', () => {
  const { logger, lines } = keptLog();
  const warn = warnOfIgnoredSections(logger);
  const tenant = loadTenant(demoTenantFile);
  warn(tenant);
  expect(lines).toEqual([]);
  warn({ ...tenant, ignoredSections: ['hooks', 'pages'] });
  warn({ ...tenant, ignoredSections: ['pages', 'branding'] });
  warn({ ...tenant, ignoredSections: ['hooks'] });
  expect(lines.map(({ sections }) => sections)).toEqual([['hooks', 'pages'], ['branding']]);
});
