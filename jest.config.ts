/** @jest-config-loader esbuild-register */
import { availableParallelism } from 'node:os';
import type { Config } from 'jest';

const typescript = (tsx: boolean): [string, Record<string, unknown>] => [
  '@swc/jest',
  {
    jsc: {
      target: 'es2022',
      parser: { syntax: 'typescript', tsx },
      transform: { react: { runtime: 'automatic', importSource: 'preact' } },
    },
    module: { type: 'es6' },
  },
];

const config: Config = {
  testEnvironment: 'node',
  // Removes what nock adds to the global object before the next test file.
  testEnvironmentOptions: { globalsCleanup: 'on' },
  roots: ['<rootDir>/packages', '<rootDir>/test'],
  // `*.long.test.ts` (npm run test:long) need a registry, a minute of load, a stopped service, many
  // pages in a browser, many processes or many servers.
  testMatch: ['**/test/**/!(*.long).test.ts?(x)'],
  extensionsToTreatAsEsm: ['.ts', '.tsx'],
  transform: {
    '\\.ts$': typescript(false),
    '\\.tsx$': typescript(true),
    // Node 20 cannot require() an ES module inside jest, and jwks-rsa requires jose.
    '/node_modules/jose/.*\\.js$': ['@swc/jest', { module: { type: 'commonjs' } }],
  },
  transformIgnorePatterns: ['/node_modules/(?!jose/)'],
  // By default jest leaves one core free, which is half of two.
  maxWorkers: Math.max(2, availableParallelism() - 1),
  // ES modules of a finished test file stay in memory, and collecting garbage around them costs more
  // than the tests do. A worker that has grown is replaced.
  workerIdleMemoryLimit: '400MB',
  restoreMocks: true,
  setupFiles: ['<rootDir>/test/support/setup.ts'],
  reporters: ['default', '<rootDir>/scripts/dist/skipped-reporter.js'],
  // Only a test that hangs reaches it, also on a busy machine.
  testTimeout: 180_000,
};

export default config;
