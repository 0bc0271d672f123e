import { jest } from '@jest/globals';
import type { TestIssuer } from '@koa-oauth/issuer/testing';

/** Lets ten seconds pass after each request to an issuer, until `jest.useRealTimers()`. */
export function passTimeouts(issuer: Pick<TestIssuer, 'fault'>): void {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'performance'] });
  const { fault } = issuer;
  issuer.fault = (request, response) => {
    fault?.(request, response);
    setImmediate(() => jest.advanceTimersByTime(10_000));
  };
}
