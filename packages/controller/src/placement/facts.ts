import type { HostCapacity, StoragePool } from "@slipway/shared";

/** One thing in the way. `phrase` goes on from a subject: "has no bridge br9". */
export interface Obstacle {
  readonly rule: string;
  readonly phrase: string;
  readonly fix: string;
}

export interface Facts {
  readonly features: ReadonlySet<string>;
  readonly models: ReadonlySet<string>;
  readonly machineTypes: ReadonlySet<string>;
  readonly virtTypes: ReadonlySet<string>;
  readonly bridges: ReadonlySet<string>;
  readonly networks: ReadonlySet<string>;
  readonly pools: ReadonlyMap<string, StoragePool>;
  /** By what they are a view of; an active one before others. */
  readonly shared: ReadonlyMap<string, StoragePool>;
}

/** Sets of what a host has, made once for each picture of it. */
const facts = new WeakMap<HostCapacity, Facts>();

export function factsOf(host: HostCapacity): Facts {
  let known = facts.get(host);
  if (known === undefined) {
    const shared = new Map<string, StoragePool>();
    for (const p of host.pools) if (p.sharedAs !== "" && !shared.get(p.sharedAs)?.active) shared.set(p.sharedAs, p);
    known = {
      features: new Set(host.cpuFeatures),
      models: new Set(host.cpuModels),
      machineTypes: new Set(host.machineTypes),
      virtTypes: new Set(host.virtTypes),
      bridges: new Set(host.bridges),
      networks: new Set(host.networks),
      pools: new Map(host.pools.map((p) => [p.name, p])),
      shared,
    };
    facts.set(host, known);
  }
  return known;
}
