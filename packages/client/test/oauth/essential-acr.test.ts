import { describe, expect, test } from '@jest/globals';
import { essentialAcr } from '../../src/oauth/essential-acr.ts';

const asking = (acr: unknown) => JSON.stringify({ id_token: { acr } });

describe('acr as an essential claim (OpenID Connect Core §5.5.1.1)', () => {
  test.each<[string, string | undefined, readonly string[] | undefined]>([
    ['nothing asked', undefined, undefined],
    ['other claims', '{"userinfo":{"email":null},"id_token":null}', undefined],
    ['acr by its name', asking(null), undefined],
    ['a wish', asking({ values: ['a'] }), undefined],
    ['essential, whatever it is', asking({ essential: true }), undefined],
    ['one value', asking({ essential: true, value: 'a' }), ['a']],
    ['several', asking({ essential: true, values: ['a', 'b'] }), ['a', 'b']],
    ['none of them', asking({ essential: true, values: [] }), []],
  ])('%s', (_name, claims, values) => {
    expect(essentialAcr(claims)).toEqual(values);
  });

  test.each([
    ['no JSON', '{'],
    ['a list', '[]'],
    ['null', 'null'],
    ['no object of claims', '{"id_token":1}'],
    ['acr as text', asking('a')],
    ['values as text', asking({ essential: true, values: 'a' })],
    ['a value that is a number', asking({ essential: true, values: [1] })],
    ['an object in place of JSON', {}],
  ])('%s is refused', (_name, claims) => {
    expect(() => essentialAcr(claims)).toThrow('claims must be JSON');
  });
});
