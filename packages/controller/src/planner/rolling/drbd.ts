import type { Reason } from "../../domain/words.ts";
import { sizeText } from "../../placement/text.ts";
import { AWAY, type Board, FINAL, NO_TARGET, type Step } from "./board.ts";
import { colour } from "./colouring.ts";
import type { Gate } from "./gate.ts";
import { LIVE, type Pool } from "./pool.ts";
import type { Bounds } from "./result.ts";
import type { Rolled } from "./roll.ts";
import type { RollingOptions } from "./snapshot.ts";

/**
 * Hosts that have no room for what they would have to take over if one other host went away: such a pool has lost its
 * spare already, and a plan would overload the host for the length of a turn.
 */
export function notSpare(pool: Pool): Reason[] {
  const free = pool.memCap.slice();
  const arriving = new Map<string, { from: number; to: number; mem: number; units: number[] }>();
  for (let u = 0; u < pool.units; u++) {
    const from = pool.at[u] as number;
    const to = pool.secondary[u] as number;
    free[from] = (free[from] as number) - (pool.mem[u] as number);
    if (to < 0 || pool.movability[u] !== LIVE || pool.state[from] === "unavailable") continue;
    const key = `${from} ${to}`;
    const pair = arriving.get(key) ?? { from, to, mem: 0, units: [] };
    pair.mem += pool.mem[u] as number;
    pair.units.push(u);
    arriving.set(key, pair);
  }
  const name = (h: number) => pool.hosts[h]?.name ?? "";
  return [...arriving.values()]
    .filter(({ to, mem }) => mem > Math.max(0, free[to] as number))
    .map(({ from, to, mem, units }) => {
      const largest = units.reduce((a, b) => ((pool.mem[b] as number) > (pool.mem[a] as number) ? b : a));
      const instance = pool.snapshot.instances[pool.members[largest]?.[0] ?? 0]?.name ?? "";
      const text = `${name(to)}: if ${name(from)} goes away it must take ${sizeText(mem)} and has ${sizeText(Math.max(0, free[to] as number))} free`;
      const fix = `give ${instance} another secondary, or free memory on ${name(to)}`;
      return { rule: "n+1", subject: name(to), text, fix };
    });
}

/**
 * Rolls a pool with fixed secondaries group by group. After each group every instance goes back, so that each one starts
 * from the snapshot's placement and the spare of every host is there again.
 */
export function rollPairs(pool: Pool, board: Board, gate: Gate, bounds: Bounds, options: RollingOptions): Rolled {
  const inScope = [...pool.hosts.keys()].filter((h) => pool.state[h] === "in-scope");
  const alreadyOut = [...pool.hosts.keys()].filter((h) => pool.state[h] === "out");
  board.reset(new Float64Array(pool.hosts.length));
  for (const h of inScope) board.setRole(h, FINAL);
  const roller = new PairRoller(pool, board, alreadyOut);
  const canary = options.canary ? pool.hostIndex.get(options.canary.host) : undefined;
  const order = (options.order ?? []).map((n) => pool.hostIndex.get(n) as number).filter((h) => inScope.includes(h));
  const fixed = [...new Set([...(canary !== undefined && inScope.includes(canary) ? [canary] : []), ...order])];
  const free = inScope.filter((h) => !fixed.includes(h));
  if (alreadyOut.length > 0) roller.go([]);
  // The operator's order is kept by taking its hosts one at a time.
  for (const h of fixed) roller.go([h]);
  let left = [...roller.refused];
  if (left.length > 0) return roller.rolled([...left, ...free]);
  const groups = [...colour(pool, gate, free, bounds.waves - fixed.length)].sort((a, b) => b.length - a.length);
  for (const group of groups) roller.go(group);
  // Hosts whose other instances found no room beside their group try again with each other.
  for (left = roller.refused.splice(0); left.length > 0; ) {
    const again = colour(pool, gate, left, 1)[0] ?? [];
    roller.go(again);
    const refused = new Set(roller.refused.splice(0));
    if (refused.size === again.length) return roller.rolled(left);
    left = left.filter((h) => refused.has(h) || !again.includes(h));
  }
  return roller.rolled([]);
}

class PairRoller {
  /** Hosts of the groups so far that found no room. */
  readonly refused: number[] = [];
  readonly #pool: Pool;
  readonly #board: Board;
  readonly #waves: number[][] = [];
  readonly #steps: Step[][] = [];
  #alreadyOut: readonly number[];

  constructor(pool: Pool, board: Board, alreadyOut: readonly number[]) {
    this.#pool = pool;
    this.#board = board;
    this.#alreadyOut = alreadyOut;
  }

  /** Takes a group out and brings everything back. */
  go(group: readonly number[]): void {
    const board = this.#board;
    const from = board.log.length;
    board.nextWave();
    for (const h of group) board.setRole(h, AWAY);
    const out: number[] = [];
    for (const isTied of [true, false])
      for (const h of group) {
        if (!isTied && !out.includes(h)) continue;
        if (this.#empty(h, isTied)) {
          if (isTied) out.push(h);
          continue;
        }
        for (const step of board.log.slice(from)) if (step.from === h && !step.dead) board.kill(step);
        board.setRole(h, FINAL);
        if (!isTied) out.splice(out.indexOf(h), 1);
        this.refused.push(h);
      }
    const wave = [...this.#alreadyOut, ...out];
    if (wave.length === 0) return;
    this.#waves.push(wave);
    this.#steps.push(board.log.filter((s) => !s.dead));
    const drained = board.log.slice(from).filter((s) => !s.dead);
    board.log = [];
    for (const h of wave) if (board.role[h] !== NO_TARGET) board.setRole(h, FINAL);
    this.#alreadyOut = [];
    for (const step of drained.reverse()) board.move(step.unit, step.from, "return");
  }

  rolled(stuck: readonly number[]): Rolled {
    if (this.#board.log.length > 0) this.#steps.push(this.#board.log);
    let moves = 0;
    for (const list of this.#steps) for (const s of list) moves += this.#pool.members[s.unit]?.length ?? 0;
    return { waves: this.#waves, steps: this.#steps, moves, lengthMs: 0, stuck, proven: false };
  }

  #empty(h: number, isTied: boolean): boolean {
    const { rank, movability, secondary } = this.#pool;
    const units = this.#board.world
      .unitsOn(h)
      .filter((u) => movability[u] === LIVE && (secondary[u] as number) >= 0 === isTied)
      .sort((a, b) => (rank[a] as number) - (rank[b] as number));
    return units.every((u) => this.#board.place(u));
  }
}
