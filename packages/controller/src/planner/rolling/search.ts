import type { Pool } from "./pool.ts";
import type { Bounds } from "./result.ts";
import type { Roll, Rolled } from "./roll.ts";
import type { RollingOptions } from "./snapshot.ts";

/** Units rolled in all attempts together; small pools get many attempts, large ones a handful. */
const EFFORT = 140_000;
const MOST_ATTEMPTS = 400;
const MOST_SHAKES = 120;
/** Attempts where only the question is whether there is a plan at all. */
const QUICK_ATTEMPTS = 20;
const DEFAULT_SLACK = 0.01;
/** Durations that differ by more than this factor make it worth while to let like go with like. */
const UNEVEN = 1.1;
/** Plans that differ by less count as equally good; then the first one is kept, in which hosts go by name. */
const ALIKE = 0.01;
/** From that many units on, other orders are tried only where little is missing for a wave less, and only so often. */
const MANY_UNITS = 4000;
const MOST_SHAKES_OF_MANY = 4;
/** Bisections for the fewest detours with which the number of waves can be kept. */
const HALVINGS = 6;

/** The best of several rolls: see `RollingOptions.mode` for what is best. Quickly: the first that is complete will do. */
export function search(pool: Pool, roll: Roll, bounds: Bounds, options: RollingOptions, isQuick = false): Rolled {
  const most = isQuick ? QUICK_ATTEMPTS : MOST_ATTEMPTS;
  const best = attempts(pool, roll, bounds, options, most);
  return best.stuck.length === 0 || isQuick ? best : roll.run({ detours: 1, shake: 0, exact: true });
}

function attempts(pool: Pool, roll: Roll, bounds: Bounds, options: RollingOptions, most: number): Rolled {
  let left = Math.max(5, Math.min(most, Math.floor(EFFORT / Math.max(1, pool.units))));
  const durations = pool.hosts.filter((_, h) => pool.state[h] === "in-scope").map((h) => h.durationMs);
  const isUneven = options.mode === "waves" && Math.max(...durations) > UNEVEN * Math.min(...durations);
  let grouped = isUneven;
  const attempt = (detours: number, shake: number, even = false) => {
    left--;
    return roll.run({ detours, shake, grouped, even, roomy });
  };
  let roomy = false;
  const isBetter = options.mode === "moves" ? fewerMoves(bounds, options) : fewerWaves;
  let best = attempt(options.mode === "moves" ? (options.moveSlack ?? DEFAULT_SLACK) : 1, 0);
  const keep = (other: Rolled) => {
    if (isBetter(other, best)) best = other;
  };
  if (isUneven) {
    const first = best;
    grouped = false;
    keep(attempt(1, 0));
    grouped = best === first;
  }
  if (options.mode === "moves") {
    keep(attempt(0, 0));
    for (let shake = 1; shake <= MOST_SHAKES && left > 0 && best.moves > bounds.moves; shake++) {
      keep(attempt(options.moveSlack ?? DEFAULT_SLACK, shake));
      if (left > 0) keep(attempt(0, shake));
    }
    // Where few detours lead nowhere, many may.
    for (let shake = 0; shake <= MOST_SHAKES && left > 0 && best.stuck.length > 0; shake++) keep(attempt(1, shake));
    return best;
  }
  const wanted = () => best.stuck.length > 0 || best.waves.length > bounds.waves;
  let shaken = 0;
  const few = pool.units <= MANY_UNITS || best.stuck.length > 0;
  const shakes = few ? MOST_SHAKES : hasSmallEnd(pool, best) ? MOST_SHAKES_OF_MANY : 0;
  for (let shake = 1; shake <= shakes && (left > 8 || !few) && wanted(); shake++) {
    const other = attempt(1, shake);
    if (isBetter(other, best)) shaken = shake;
    keep(other);
  }
  if (best.stuck.length > 0 || most === QUICK_ATTEMPTS) return best;
  // Where it costs no wave, a plan that takes long to make leaves room for instances that are started while it is carried out.
  if (pool.units > MANY_UNITS) {
    roomy = true;
    const loose = attempt(1, shaken);
    roomy = loose.stuck.length === 0 && loose.waves.length <= best.waves.length;
    if (roomy) best = loose;
  }
  // The fewest detours that keep the number of waves: with links that are evenly busy, and with the fewest moves.
  const fewest = (even: boolean, tries: number) => {
    let low = 0;
    let high = Math.min(1, Math.max(0, (best.moves - bounds.moves) / Math.max(1, pool.units)) + 0.02);
    for (let i = 0; i < tries && left > 0 && high - low > 0.004; i++) {
      const middle = (low + high) / 2;
      const other = attempt(middle, shaken, even);
      if (other.stuck.length === 0 && other.waves.length <= best.waves.length) high = middle;
      else low = middle;
      keep(other);
    }
    return { low, high };
  };
  const even = fewest(true, Math.min(HALVINGS, Math.ceil(left / 2)));
  const { low, high } = fewest(false, HALVINGS);
  for (let shake = 1; shake <= MOST_SHAKES && left > 0 && best.moves > bounds.moves; shake++) {
    keep(attempt(high * 0.98, shake));
    if (left > 0) keep(attempt(low, shake));
    if (left > 0) keep(attempt(even.high, shake, true));
  }
  return best;
}

/** Is the last wave so small that hosts in another order may do without it? */
function hasSmallEnd(pool: Pool, { waves }: Rolled): boolean {
  const size = (hosts: readonly number[]) => hosts.reduce((sum, h) => sum + (pool.memCap[h] as number), 0);
  return size(waves.at(-1) ?? []) * waves.length * 2 < size(waves.flat());
}

type Compare = (a: Rolled, b: Rolled) => boolean;

/** Among plans with as few waves one per cent of time is worth three per cent of moves. */
const fewerWaves: Compare = (a, b) => {
  const gain = 1 - (a.lengthMs / Math.max(1, b.lengthMs)) ** 3 * (a.moves / Math.max(1, b.moves));
  return lexicographic(a, b, [
    a.stuck.length - b.stuck.length,
    a.waves.length - b.waves.length,
    Math.abs(gain) > ALIKE ? -gain : 0,
    a.moves - b.moves,
  ]);
};

function fewerMoves(bounds: Bounds, options: RollingOptions): Compare {
  const accepted = bounds.moves * (1 + (options.moveSlack ?? DEFAULT_SLACK));
  const beyond = (r: Rolled) => Math.max(0, r.moves - accepted);
  return (a, b) =>
    lexicographic(a, b, [
      a.stuck.length - b.stuck.length,
      beyond(a) - beyond(b),
      a.waves.length - b.waves.length,
      a.moves - b.moves,
    ]);
}

function lexicographic(_a: Rolled, _b: Rolled, differences: readonly number[]): boolean {
  for (const d of differences) if (d !== 0) return d < 0;
  return false;
}
