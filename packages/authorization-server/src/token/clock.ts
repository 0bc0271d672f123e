/** How far the clock that the tokens show is ahead of the real one; negative when it is behind. */
export interface TokenClock {
  seconds: number;
}

const TEN_YEARS = 315_360_000;

/** @throws RangeError that says what would be right. */
export function checkClock(seconds: number): number {
  if (Number.isInteger(seconds) && Math.abs(seconds) <= TEN_YEARS) return seconds;
  throw new RangeError('clock: give whole seconds, ten years (315360000) at most');
}

const TIMES = ['iat', 'exp', 'nbf', 'auth_time'];

/** The claims with their times as the clock shows them. */
export function byClock<T extends object>(claims: T, { seconds }: TokenClock): T {
  if (seconds === 0) return claims;
  const times = Object.entries(claims).filter(
    (entry): entry is [string, number] => TIMES.includes(entry[0]) && typeof entry[1] === 'number',
  );
  return { ...claims, ...Object.fromEntries(times.map(([name, at]) => [name, at + seconds])) };
}
