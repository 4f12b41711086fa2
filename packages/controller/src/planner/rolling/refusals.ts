import type { Reason } from "../../domain/words.ts";
import { sizeText } from "../../placement/text.ts";
import type { Gate } from "./gate.ts";
import { LIVE, PINNED, type Pool } from "./pool.ts";

/** What no order and no move can help; each found without searching. */
export function refusals(pool: Pool, gate: Gate): Reason[] {
  return [...gated(pool, gate), ...pinned(pool), ...tooLarge(pool), ...homeless(pool), ...crowded(pool), ...torn(pool)];
}

function isInScope(pool: Pool, h: number): boolean {
  return pool.state[h] === "in-scope";
}

function gated(pool: Pool, gate: Gate): Reason[] {
  gate.reset(false);
  return [...pool.hosts.entries()].flatMap(([h, { name }]) => {
    const refusal = isInScope(pool, h) ? gate.refusal(h) : "";
    if (refusal === "") return [];
    const text = `${name} may not go out even alone: ${refusal}`;
    return [{ rule: "gate", subject: name, text, fix: `bring members back, or leave ${name} out` }];
  });
}

function pinned(pool: Pool): Reason[] {
  const reasons: Reason[] = [];
  for (let u = 0; u < pool.units; u++) {
    const h = pool.at[u] as number;
    if (pool.movability[u] !== PINNED || !isInScope(pool, h)) continue;
    const host = pool.hosts[h]?.name ?? "";
    for (const i of pool.members[u] as readonly number[]) {
      const it = pool.snapshot.instances[i];
      if (it?.movability !== "pinned") continue;
      const text = `${it.name} on ${host} can neither be moved nor stopped`;
      reasons.push({ rule: "pinned", subject: it.name, text, fix: `let it be stopped, or leave ${host} out` });
    }
  }
  return reasons;
}

/** Hosts whose instances exceed all that is free elsewhere in their cluster, however it is arranged. */
function tooLarge(pool: Pool): Reason[] {
  const reasons: Reason[] = [];
  for (const [what, demand, capacity] of [
    [(mib: number) => `${sizeText(mib)} of memory`, pool.mem, pool.memCap],
    [(cpus: number) => `${cpus} virtual CPUs`, pool.cpu, pool.cpuCap],
    [(mib: number) => `${sizeText(mib)} of huge pages`, pool.huge, pool.hugeCap],
  ] as const) {
    const load = new Float64Array(pool.hosts.length);
    const leaves = new Float64Array(pool.hosts.length);
    for (let u = 0; u < pool.units; u++) {
      const h = pool.at[u] as number;
      load[h] = (load[h] as number) + (demand[u] as number);
      if (pool.movability[u] === LIVE) leaves[h] = (leaves[h] as number) + (demand[u] as number);
    }
    const free = new Float64Array(pool.clusterNames.length);
    for (let h = 0; h < load.length; h++) {
      const c = pool.cluster[h] as number;
      if (pool.state[h] !== "unavailable")
        free[c] = (free[c] as number) + (capacity[h] as number) - (load[h] as number);
    }
    for (const [h, { name }] of pool.hosts.entries()) {
      if (!isInScope(pool, h) || leaves[h] === 0) continue;
      const own = (capacity[h] as number) - (load[h] as number);
      const elsewhere = Math.max(0, (free[pool.cluster[h] as number] as number) - own);
      if ((leaves[h] as number) <= elsewhere) continue;
      const text = `${name}: its instances need ${what(leaves[h] as number)}, the rest of its cluster has ${what(elsewhere)} free`;
      reasons.push({ rule: "no-room", subject: name, text, fix: `stop instances, add a host, or leave ${name} out` });
    }
  }
  return reasons;
}

/** Instances that fit nowhere else even if everything that can move made way. */
function homeless(pool: Pool): Reason[] {
  const held = [pool.mem, pool.cpu, pool.huge].map((demand) => {
    const sum = new Float64Array(pool.hosts.length);
    for (let u = 0; u < pool.units; u++)
      if (pool.movability[u] !== LIVE)
        sum[pool.at[u] as number] = (sum[pool.at[u] as number] as number) + (demand[u] as number);
    return sum;
  });
  const room = (h: number, u: number) =>
    (pool.memCap[h] as number) - (held[0]?.[h] as number) >= (pool.mem[u] as number) &&
    (pool.cpuCap[h] as number) - (held[1]?.[h] as number) >= (pool.cpu[u] as number) &&
    (pool.hugeCap[h] as number) - (held[2]?.[h] as number) >= (pool.huge[u] as number);
  const usable = [...pool.hosts.keys()].filter((h) => pool.state[h] !== "unavailable");
  const takes = (h: number, u: number) => {
    const at = pool.at[u] as number;
    const secondary = pool.secondary[u] as number;
    const profile = pool.profile[u] as number;
    return (
      h !== at &&
      pool.cluster[h] === pool.cluster[at] &&
      (secondary < 0 || h === secondary) &&
      (profile < 0 || pool.profiles[profile]?.allows[h] === 1) &&
      room(h, u)
    );
  };
  const reasons: Reason[] = [];
  // Most units find room near where the last one did, so that this does not look at every pair.
  let hint = 0;
  for (let u = 0; u < pool.units; u++) {
    const at = pool.at[u] as number;
    if (pool.movability[u] !== LIVE || !isInScope(pool, at)) continue;
    let found = false;
    for (let k = 0; k < usable.length && !found; k++) {
      const i = (hint + k) % usable.length;
      found = takes(usable[i] as number, u);
      if (found) hint = i;
    }
    if (found) continue;
    const host = pool.hosts[at]?.name ?? "";
    const name = pool.snapshot.instances[(pool.members[u] as readonly number[])[0] ?? 0]?.name ?? "";
    const text = `${name} on ${host}: no other host could run it, even if it were empty`;
    reasons.push({ rule: "no-target", subject: name, text, fix: `let it be stopped, or leave ${host} out` });
  }
  return reasons;
}

/** Anti-affinity groups with a member on every host of a cluster: none can leave its host. */
function crowded(pool: Pool): Reason[] {
  const usable = new Int32Array(pool.clusterNames.length);
  for (const [h, state] of pool.state.entries())
    if (state !== "unavailable") usable[pool.cluster[h] as number] = (usable[pool.cluster[h] as number] as number) + 1;
  const reasons: Reason[] = [];
  const seen = new Set<number>();
  for (const [g, units] of pool.groups.entries())
    for (const u of units) {
      const at = pool.at[u] as number;
      const c = pool.cluster[at] as number;
      if (seen.has(g) || pool.movability[u] !== LIVE || !isInScope(pool, at)) continue;
      const here = units.filter((other) => {
        const h = pool.at[other] as number;
        return pool.cluster[h] === c && pool.state[h] !== "unavailable";
      });
      if (new Set(here.map((other) => pool.at[other])).size < (usable[c] as number)) continue;
      seen.add(g);
      const names = here.map(
        (other) => pool.snapshot.instances[(pool.members[other] as readonly number[])[0] ?? 0]?.name,
      );
      const subject = names[0] ?? "";
      const text = `${names.join(", ")} may not share a host, and there are ${usable[c]} hosts for ${here.length} of them`;
      reasons.push({ rule: "anti-affinity", subject, text, fix: "let one of them be stopped, or add a host" });
    }
  return reasons;
}

/** Affinity groups whose members can only go to different hosts. */
function torn(pool: Pool): Reason[] {
  const reasons: Reason[] = [];
  for (let u = 0; pool.hasSecondaries && u < pool.units; u++) {
    if (pool.movability[u] !== LIVE || !isInScope(pool, pool.at[u] as number)) continue;
    const mates = (pool.members[u] as readonly number[]).map((i) => pool.snapshot.instances[i]);
    if (new Set(mates.map((it) => it?.secondary)).size < 2) continue;
    const names = mates.map((it) => it?.name).join(", ");
    const text = `${names} are to stay together, but the disks of some are elsewhere than those of others`;
    reasons.push({
      rule: "affinity",
      subject: mates[0]?.name ?? "",
      text,
      fix: "give them one secondary, or let them be stopped",
    });
  }
  return reasons;
}
