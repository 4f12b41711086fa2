import { type Board, FINAL } from "./board.ts";
import { LIVE, type Pool } from "./pool.ts";

/**
 * Moves instances from the fullest host of each cluster to its emptiest one until none is fuller than the cluster's mean by
 * more than `bound` (a share of a host's memory), as far as instances can be moved that way. Those at home stay there.
 */
export function level(pool: Pool, board: Board, bound: number): void {
  const { world, role } = board;
  const share = (h: number) => world.load(h) / Math.max(1, pool.memCap[h] as number);
  for (let c = 0; c < pool.clusterNames.length; c++) {
    const open = [...pool.hosts.keys()].filter((h) => pool.cluster[h] === c && role[h] === FINAL);
    const capacity = open.reduce((sum, h) => sum + (pool.memCap[h] as number), 0);
    const mean = open.reduce((sum, h) => sum + world.load(h), 0) / Math.max(1, capacity);
    const stubborn = new Set<number>();
    for (;;) {
      let fullest = -1;
      for (const h of open)
        if (!stubborn.has(h) && share(h) > mean + bound && (fullest < 0 || share(h) > share(fullest))) fullest = h;
      if (fullest < 0) break;
      if (!relieve(pool, board, open, fullest, mean + bound)) stubborn.add(fullest);
    }
  }
}

/** Moves the largest instance that does some good; false if there is none. */
function relieve(pool: Pool, board: Board, open: readonly number[], from: number, most: number): boolean {
  const { world } = board;
  const units = world
    .unitsOn(from)
    .filter((u) => pool.movability[u] === LIVE && pool.home[u] !== from && (pool.mem[u] as number) > 0)
    .sort((a, b) => (pool.mem[b] as number) - (pool.mem[a] as number) || a - b);
  const after = (h: number, u: number) =>
    (world.load(h) + (pool.mem[u] as number)) / Math.max(1, pool.memCap[h] as number);
  for (const u of units) {
    let to = -1;
    for (const h of open)
      if (h !== from && after(h, u) <= most && (to < 0 || after(h, u) < after(to, u)) && world.fits(u, h)) to = h;
    if (to < 0) continue;
    board.move(u, to, "level");
    return true;
  }
  return false;
}
