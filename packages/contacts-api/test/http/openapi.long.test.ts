import { afterAll, expect, test } from '@jest/globals';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { openApiDocument } from '../../src/http/openapi.ts';
import { audience, startApp } from '../support/running-app.ts';

const running = await startApp();
const addresses = {
  baseURL: 'https://api.contacts.test',
  issuers: ['https://issuer.test/'],
  audience,
};

afterAll(() => running.close());

test.each([{}, { required: true, nonce: true }])(
  'the linter finds no fault with %p',
  async (dpop) => {
    const config = await createConfig({
      extends: ['recommended'],
      // Open operations refuse no caller; openapi.test.ts covers the others.
      rules: { 'operation-4xx-response': 'off' },
    });
    const { operations } = running.app;
    const document = openApiDocument({ operations, ...addresses, dpop });
    const problems = await lintFromString({ source: JSON.stringify(document), config });
    expect(problems.map(({ ruleId, location }) => [ruleId, location[0]?.pointer])).toEqual([]);
  },
);
