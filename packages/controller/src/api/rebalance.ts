import { type Instance, SlipwayError } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import { memoryOf, pictureProblem, rebalance, settle } from "../placement/index.ts";
import { clusterOf } from "../planner/plan.ts";
import type { ApiPorts } from "./deps.ts";
import { unknownCluster } from "./instances.ts";
import { reasonView } from "./views.ts";

const DEFAULT_MOVES = 10;
const MAX_MOVES = 1_000;

/** Moves that even out the hosts of a cluster; nothing is touched. Errors: `bad-input`, `not-found`, `refused` while a picture is missing. */
export function planRebalance(ports: ApiPorts, request: operatorWire.PlanRebalanceRequest) {
  const { registry, roster, coordinator, clock } = ports;
  const clusters = new Set(registry.entries().map((e) => clusterOf(e.facts.labels)));
  if (!clusters.has(request.cluster)) throw unknownCluster(request.cluster, clusters);
  const pool = roster.pool();
  const hosts = roster.inventories(request.cluster);
  const silent = roster.members(request.cluster).filter((name) => !hosts.some((h) => h.host === name));
  const problem = hosts.map((h) => pictureProblem(h, clock.engineMs())).find((p) => p !== undefined);
  if (problem ?? silent[0])
    throw new SlipwayError("refused", problem?.text ?? `${silent[0]}: it has never told what runs on it`, {
      fix: problem?.fix || `start slipway-agent on ${silent[0] ?? "it"}`,
    });
  const takesPart = hosts.filter((h) => coordinator.cordonHolders(h.host).length === 0);
  const others = hosts.filter((h) => !takesPart.includes(h));
  const maxMoves = Math.min(request.maxMoves || DEFAULT_MOVES, MAX_MOVES);
  const { moves, refused, loads, spread } = rebalance(takesPart, pool, { maxMoves, others });
  const byUuid = new Map<string, Instance>(takesPart.flatMap((h) => h.inventory.instances.map((i) => [i.uuid, i])));
  return {
    moves: moves.map((m) => {
      const instance = byUuid.get(m.uuid);
      const weight = instance ? settle(instance, pool).weight : 0;
      return { ...m, weight, memoryMib: instance ? memoryOf(instance) : 0 };
    }),
    hosts: loads.map((l) => ({ ...l })),
    refused: refused.map(reasonView),
    spreadBefore: spread.before,
    spreadAfter: spread.after,
    leftOut: others.map((h) => h.host),
  };
}
