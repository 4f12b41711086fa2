const FIRST_MS = 200;
const LONGEST_MS = 5_000;

/**
 * Time to wait before the next attempt: doubles from 200 ms to 5 s, and is spread over its upper half so that the agents of a
 * pool do not come back all at once. `random` is from 0 to 1.
 */
export function backoffMs(attempt: number, random: number): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 16));
  return Math.round(full * (0.5 + random / 2));
}
