import { organizationNamed } from '../access-token.ts';
import type { ContactInput } from '../contact.ts';
import type { ContactStore } from './contact-store.ts';

const DEMO_CONTACTS: Record<string, readonly ContactInput[]> = {
  acme: [
    {
      name: 'Ada Lovelace',
      email: 'ada@engines.example',
      phone: '+44 20 7946 0101',
      company: 'Analytical Engines',
    },
    {
      name: 'Grace Hopper',
      email: 'grace@compilers.example',
      company: 'Compilers & Sons',
      notes: 'Prefers nanoseconds.',
    },
    {
      name: 'Katherine Johnson',
      email: 'katherine@orbits.example',
      phone: '+1 202 555 0162',
      company: 'Orbits',
    },
  ],
  globex: [
    {
      name: 'Alan Turing',
      email: 'alan@machines.example',
      phone: '+44 161 496 0190',
      company: 'Universal Machines',
    },
    { name: 'Emmy Noether', email: 'emmy@symmetry.example', company: 'Symmetry GmbH' },
  ],
};

const DEMO_CALLER = { subject: 'demo-data', clientId: undefined };

export async function addDemoContacts(store: Pick<ContactStore, 'create'>): Promise<void> {
  for (const [orgId, contacts] of Object.entries(DEMO_CONTACTS)) {
    for (const contact of contacts)
      await store.create(organizationNamed(orgId), DEMO_CALLER, contact);
  }
}
