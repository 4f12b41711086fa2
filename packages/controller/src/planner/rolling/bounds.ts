import type { Gate } from "./gate.ts";
import { LIVE, type Pool } from "./pool.ts";
import type { Bounds } from "./result.ts";
import type { RollingOptions } from "./snapshot.ts";

function common(a: number, b: number): number {
  return b === 0 ? a : common(b, a % b);
}

/**
 * What no plan can undercut.
 *
 * Waves: hosts that are out at the same time leave their instances to the free memory of their cluster, of which what is
 * no multiple of the instances' common measure is of no use; and every limit needs its own number of waves. Moves: each instance of
 * a host in scope moves once, those of the first host out twice where no host is there on which they could stay, and those that must
 * come home twice. Makespan: hosts out together are bounded by the free memory too, so that the sum of (memory x time away) over all
 * hosts needs its time; so does the sum of times away of hosts that share a limit.
 */
export function boundsOf(pool: Pool, gate: Gate, options: RollingOptions): Bounds {
  const inScope = [...pool.hosts.keys()].filter((h) => pool.state[h] === "in-scope");
  const limits = gate.leastWaves(inScope);
  const awayMs = (h: number) => pool.hosts[h]?.durationMs ?? 0;
  const limitsMs = gate.leastMs(inScope, awayMs);
  let { waves } = limits;
  let because = limits.because;
  let moves = 0;
  let makespanMs = 0;
  let firstDrain = Number.POSITIVE_INFINITY;
  const used = new Float64Array(pool.hosts.length);
  const held = new Float64Array(pool.hosts.length);
  const live = new Int32Array(pool.hosts.length);
  const twice = new Int32Array(pool.hosts.length);
  const drain = new Float64Array(pool.hosts.length);
  for (let u = 0; u < pool.units; u++) {
    const h = pool.at[u] as number;
    const count = (pool.members[u] as readonly number[]).length;
    used[h] = (used[h] as number) + (pool.mem[u] as number);
    if (pool.movability[u] !== LIVE) held[h] = (held[h] as number) + (pool.mem[u] as number);
    else {
      live[h] = (live[h] as number) + count;
      drain[h] = (drain[h] as number) + (pool.migrateMs[u] as number);
      if (options.return === "exact" && pool.home[u] === h) twice[h] = (twice[h] as number) + count;
    }
  }
  const perSource = Math.max(1, options.migrationsPerSource ?? 1);
  for (let c = 0; c < pool.clusterNames.length; c++) {
    const own = inScope.filter((h) => pool.cluster[h] === c);
    if (own.length === 0) continue;
    let measure = 0;
    for (let u = 0; u < pool.units; u++)
      if (pool.cluster[pool.at[u] as number] === c) measure = common(measure, pool.mem[u] as number);
    const usable = (h: number) => {
      const capacity = pool.memCap[h] as number;
      return measure > 0 ? Math.floor(capacity / measure) * measure : capacity;
    };
    let free = 0;
    let hasFinal = false;
    for (let h = 0; h < pool.hosts.length; h++) {
      if (pool.cluster[h] !== c || pool.state[h] === "unavailable") continue;
      free += usable(h) - (used[h] as number);
      if (pool.state[h] !== "in-scope") hasFinal = true;
    }
    for (const h of own) moves += (live[h] as number) + (twice[h] as number);
    const returns = own.some((h) => (twice[h] as number) > 0);
    if (!hasFinal && !returns && !pool.hasSecondaries) moves += Math.min(...own.map((h) => live[h] as number));
    // While a host is out, its capacity is gone, but what stays on it stopped needs no other place.
    const weight = (h: number) => Math.max(0, usable(h) - (held[h] as number));
    const weights = own.map(weight).sort((a, b) => a - b);
    let together = 0;
    for (let sum = 0; together < weights.length; together++) {
      sum += weights[together] as number;
      if (sum > free) break;
    }
    const total = weights.reduce((a, b) => a + b, 0);
    const needed =
      together === 0 ? own.length : Math.max(Math.ceil(total / free - 1e-9), Math.ceil(own.length / together));
    if (needed > waves) {
      waves = needed;
      because = `free memory of cluster ${pool.clusterNames[c]}`;
    }
    const away = own.map(awayMs);
    const leastDrain = Math.min(...own.map((h) => (drain[h] as number) / perSource));
    const area = own.reduce((sum, h) => sum + weight(h) * awayMs(h), 0);
    const byRounds = Math.ceil(own.length / Math.max(1, together)) * Math.min(...away);
    firstDrain = Math.min(firstDrain, leastDrain);
    makespanMs = Math.max(makespanMs, leastDrain + Math.max(...away, byRounds, free > 0 ? area / free : 0));
  }
  if (inScope.length > 0) makespanMs = Math.max(makespanMs, firstDrain + limitsMs);
  const canary = options.canary;
  if (canary && inScope.length > 1) {
    const h = pool.hostIndex.get(canary.host);
    if (h !== undefined && pool.state[h] === "in-scope") waves = Math.max(waves, 2);
  }
  return { moves, waves, wavesBecause: because, makespanMs };
}
