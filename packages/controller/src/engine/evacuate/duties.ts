import type { Instance } from "@slipway/shared";
import type { Evacuee } from "../../domain/action.ts";
import type { HostInventory } from "../../domain/inventory.ts";
import type { PoolConfig } from "../../domain/pool.ts";
import type { Reason, RunOptions } from "../../domain/words.ts";
import { duties, type Settled, settle } from "../../placement/index.ts";
import { isAlive } from "./pictures.ts";

/** What a drain owes an instance of its host. */
export interface Duty {
  readonly instance: Instance;
  readonly settled: Settled;
  readonly how: Evacuee["how"];
  /** Who allows that it is stopped. */
  readonly by: "policy" | "consent";
  /** It moves where it can, and may be stopped where it cannot. */
  readonly mayStop: boolean;
  /** Why it can neither leave nor stay. */
  readonly problem?: Reason;
}

interface Known {
  readonly pool: PoolConfig;
  readonly options: RunOptions;
  readonly duties: readonly Duty[];
}
const known = new WeakMap<HostInventory["inventory"], Known>();

/** Everything that takes up a host, and what is owed to it by policy and consent. */
export function dutiesOf(picture: HostInventory, pool: PoolConfig, options: RunOptions): readonly Duty[] {
  const before = known.get(picture.inventory);
  if (before?.pool === pool && before.options === options) return before.duties;
  const all = duties(picture, pool, options);
  const stops = new Map(all.stops.map((s) => [s.uuid, s]));
  const stays = new Set(all.leaves.map((l) => l.uuid));
  const problems = new Map(all.blockers.map((b) => [b.uuid, b.reason]));
  const found = picture.inventory.instances.filter(isAlive).map((instance): Duty => {
    const { uuid } = instance;
    const [stop, problem] = [stops.get(uuid), problems.get(uuid)];
    const how = stop ? (stop.how === "managed-save" ? "save" : "stop") : stays.has(uuid) ? "stay" : "move";
    const by = stop?.because.rule === "policy" ? "policy" : "consent";
    const mayStop = all.mayStop.has(uuid);
    return { instance, settled: settle(instance, pool), how, by, mayStop, ...(problem ? { problem } : {}) };
  });
  known.set(picture.inventory, { pool, options, duties: found });
  return found;
}

/** Somebody else has something under way with it, or its platform cannot say how it is. */
export function isBusy({ instance }: Pick<Duty, "instance">): boolean {
  return instance.job !== "" || instance.state === "incoming" || instance.state === "unknown";
}

/** Higher tiers leave and stop first; within one, by name. */
export function byTier(a: Duty, b: Duty): number {
  return b.settled.tier - a.settled.tier || (a.instance.name < b.instance.name ? -1 : 1);
}
