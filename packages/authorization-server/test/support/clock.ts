import { jest } from '@jest/globals';

/** The clocks of a test: `wallMs` is added to `Date.now`, `elapsedMs` to `performance.now`. */
export interface Clock {
  wallMs: number;
  elapsedMs: number;
  /** Lets this time pass on both. */
  pass(milliseconds: number): void;
}

/** Takes the clocks over until the end of the test. */
export function takeClock(): Clock {
  const clock: Clock = {
    wallMs: 0,
    elapsedMs: 0,
    pass(milliseconds) {
      clock.wallMs += milliseconds;
      clock.elapsedMs += milliseconds;
    },
  };
  const [realTime, realElapsed] = [Date.now.bind(Date), performance.now.bind(performance)];
  jest.spyOn(Date, 'now').mockImplementation(() => realTime() + clock.wallMs);
  jest.spyOn(performance, 'now').mockImplementation(() => realElapsed() + clock.elapsedMs);
  return clock;
}
