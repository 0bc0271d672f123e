import { expect, test } from '@jest/globals';
import { requirementFaults, type SignInRequirement } from '../../src/login/sign-in-requirement.ts';

test.each<[unknown]>([
  [{}],
  [{ maxAge: 0 }],
  [{ maxAge: 300, acr: 'urn:x gold', scope: 'read write' }],
  [{ maxAge: undefined }],
])('%j is right', (requirement) => {
  expect(requirementFaults(requirement as SignInRequirement)).toEqual([]);
});

test.each<[unknown, string[]]>([
  [{ maxAge: -1 }, ['maxAge']],
  [{ maxAge: 1.5 }, ['maxAge']],
  [{ maxAge: '300' }, ['maxAge']],
  [{ maxAge: Number.NaN }, ['maxAge']],
  [{ acr: '' }, ['acr']],
  [{ acr: 'a  b' }, ['acr']],
  [{ acr: ['gold'] }, ['acr']],
  [{ scope: '' }, ['scope']],
  [{ scope: 'a"b' }, ['scope']],
  [{ scope: ['read'] }, ['scope']],
  [{ maxage: 300, scopes: 'read' }, ['unknown: maxage, scopes']],
  [{ maxAge: null, acr: null, scope: null }, ['maxAge', 'acr', 'scope']],
])('%j is told', (requirement, named) => {
  const faults = requirementFaults(requirement as SignInRequirement);
  expect(faults).toEqual(named.map((name) => expect.stringMatching(`^${name}`)));
});
