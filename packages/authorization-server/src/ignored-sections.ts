import type { Logger } from 'pino';
import type { Tenant } from './tenant/tenant.ts';

/** Warns of the sections of a tenant file that this server does not know, of each of them once. */
export function warnOfIgnoredSections(log: Logger): (tenant: Tenant) => void {
  const listed = new Set<string>();
  return ({ ignoredSections }) => {
    const sections = ignoredSections.filter((section) => !listed.has(section));
    for (const section of sections) listed.add(section);
    if (sections.length > 0) log.warn({ sections }, 'sections of the tenant file are ignored');
  };
}
