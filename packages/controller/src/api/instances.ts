import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Instance, naturalCompare, nearest, SlipwayError, UUID_PATTERN } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import type { HostInventory } from "../domain/inventory.ts";
import type { Reason } from "../domain/words.ts";
import { pictureProblem, place, type Role } from "../placement/index.ts";
import { clusterOf } from "../planner/plan.ts";
import type { ApiPorts } from "./deps.ts";
import { type InstanceView, instanceView } from "./inventory-views.ts";
import { type ReasonView, reasonView } from "./views.ts";

/** An instance and the host that has it. */
export interface Found {
  readonly host: HostInventory;
  readonly instance: Instance;
  /** Other hosts that know it too. */
  readonly others: readonly { readonly host: string; readonly state: string }[];
}

type TargetView = MessageInitShape<typeof operatorWire.InstanceTargetSchema>;

/** States in which an instance is really there; a definition that is off may be the leftover of one that runs elsewhere. */
const live = new Set(["running", "paused", "suspended", "crashed", "unknown"]);

/** Methods about instances. */
export class InstancesApi {
  readonly #ports: ApiPorts;

  constructor(ports: ApiPorts) {
    this.#ports = ports;
  }

  list(request: operatorWire.ListInstancesRequest): { instances: InstanceView[]; unknown: ReasonView[] } {
    const { registry, book, clock } = this.#ports;
    if (request.host !== "" && request.cluster !== "")
      throw new SlipwayError("bad-input", `host ${request.host} and cluster ${request.cluster} were given`, {
        fix: "choose one of them",
      });
    if (request.host !== "") registry.required(request.host);
    const clusters = new Set(registry.entries().map((e) => clusterOf(e.facts.labels)));
    if (request.cluster !== "" && !clusters.has(request.cluster)) throw unknownCluster(request.cluster, clusters);
    const wanted = registry
      .entries()
      .filter((e) => request.host === "" || e.name === request.host)
      .filter((e) => request.cluster === "" || clusterOf(e.facts.labels) === request.cluster);
    const instances: InstanceView[] = [];
    const unknown: Reason[] = [];
    const everywhere = this.#everywhere();
    const inHand = this.#inHand();
    for (const entry of wanted) {
      const { name, connected } = entry;
      const host = book.of(entry);
      const problem = host ? pictureProblem(host, clock.engineMs()) : neverTold(name, connected);
      if (problem) unknown.push(problem);
      for (const instance of (host?.inventory.instances ?? []).toSorted((a, b) => naturalCompare(a.name, b.name)))
        if (host) instances.push(this.#view(host, instance, everywhere.get(instance.uuid) ?? [], inHand));
    }
    return { instances, unknown: unknown.map(reasonView) };
  }

  get(request: operatorWire.GetInstanceRequest): { instance: InstanceView; targets: TargetView[] } {
    const { roster, coordinator, clock } = this.#ports;
    const { host, instance, others } = findInstance(this.#ports, request.instance);
    const cluster = clusterOf(host.labels);
    const hosts = roster.inventories(cluster);
    const targets = hosts
      .filter((h) => h.host !== host.host)
      .map((target) => {
        const holders = coordinator.cordonHolders(target.host);
        const reasons = this.#whyNot(host, instance, target, hosts, holders, clock.engineMs());
        return { host: target.host, possible: reasons.length === 0, reasons: reasons.map(reasonView) };
      });
    return { instance: this.#view(host, instance, others, this.#inHand()), targets };
  }

  /** Why the instance cannot be moved to one host, with everything that runs there; empty when it can. */
  #whyNot(
    from: HostInventory,
    instance: Instance,
    target: HostInventory,
    hosts: readonly HostInventory[],
    holders: readonly string[],
    nowT: number,
  ): readonly Reason[] {
    const problem = pictureProblem(target, nowT);
    if (problem) return [problem];
    if (holders.length > 0) return [cordoned(target.host, holders)];
    const elsewhere: Role = { is: "closed", because: { rule: "", subject: "", text: "", fix: "" } };
    const roles = new Map<string, Role>(hosts.map((h) => [h.host, elsewhere]));
    roles.set(from.host, { is: "source" });
    roles.set(target.host, { is: "target" });
    // Off, it needs no room; it is asked as if it ran.
    const asRunning = hosts.map((h) =>
      h === from && instance.state === "shutoff"
        ? {
            ...h,
            inventory: {
              ...h.inventory,
              instances: h.inventory.instances.map((i) => (i === instance ? { ...i, state: "running" } : i)),
            },
          }
        : h,
    );
    const { feasible, blockers } = place({
      hosts: asRunning,
      roles,
      movers: [{ uuid: instance.uuid, from: from.host }],
      pool: this.#ports.roster.pool(),
    });
    if (feasible) return [];
    return blockers.flatMap((b) => {
      const there = b.targets.find((t) => t.host === target.host)?.reasons ?? [];
      return there.length > 0 ? there : [b.reason];
    });
  }

  #view(
    host: HostInventory,
    instance: Instance,
    everywhere: readonly { host: string; state: string }[],
    inHand: ReadonlyMap<string, string>,
  ): InstanceView {
    const { roster, book, clock } = this.#ports;
    return instanceView(host, instance, {
      pool: roster.pool(),
      cluster: clusterOf(host.labels),
      nowT: clock.engineMs(),
      readMs: book.picture(host.host)?.readMs ?? 0,
      run: inHand.get(instance.uuid) ?? "",
      alsoOn: everywhere.filter((o) => o.host !== host.host).map((o) => `${o.host} (${o.state})`),
    });
  }

  /** Runs that do something to an instance just now, by its uuid. */
  #inHand(): Map<string, string> {
    const out = new Map<string, string>();
    for (const run of this.#ports.coordinator.active())
      for (const { actions } of run.hosts)
        for (const { subject, settled, result } of actions)
          if (!settled && result === undefined) out.set(subject, run.spec.run);
    return out;
  }

  /** Which hosts know which instance, by uuid. */
  #everywhere(): Map<string, { host: string; state: string }[]> {
    const out = new Map<string, { host: string; state: string }[]>();
    for (const { host, inventory } of everyInventory(this.#ports))
      for (const { uuid, state } of inventory.instances) out.set(uuid, [...(out.get(uuid) ?? []), { host, state }]);
    return out;
  }
}

/** The instance of that name or uuid. Errors: `not-found` with the nearest name, `bad-input` when several have the name. */
export function findInstance(ports: Pick<ApiPorts, "registry" | "roster">, text: string, where = "instance"): Found {
  const found: { host: HostInventory; instance: Instance }[] = [];
  const byUuid = UUID_PATTERN.test(text.toLowerCase());
  const all = everyInventory(ports);
  for (const host of all)
    for (const instance of host.inventory.instances)
      if (instance.name === text || (byUuid && instance.uuid === text.toLowerCase())) found.push({ host, instance });
  const uuids = new Map(found.map((f) => [f.instance.uuid, f]));
  if (uuids.size > 1)
    throw new SlipwayError(
      "bad-input",
      `${where} ${JSON.stringify(text)}: ${uuids.size} have that name, ${[...uuids.values()].map((f) => `${f.instance.uuid} on ${f.host.host}`).join(", ")}`,
      { fix: "name it by its uuid" },
    );
  const best = found.find((f) => live.has(f.instance.state)) ?? found[0];
  if (!best) {
    const near = nearest(
      text,
      all.flatMap((h) => h.inventory.instances.map((i) => i.name)),
    );
    throw new SlipwayError("not-found", `${where} ${JSON.stringify(text)}: there is none of that name or uuid`, {
      fix: near ? `did you mean ${near}?` : "see slipway instance list",
    });
  }
  const others = found.filter((f) => f !== best).map((f) => ({ host: f.host.host, state: f.instance.state }));
  return { ...best, others };
}

function everyInventory({ registry, roster }: Pick<ApiPorts, "registry" | "roster">): HostInventory[] {
  const clusters = new Set(registry.entries().map((e) => clusterOf(e.facts.labels)));
  return [...clusters].flatMap((c) => roster.inventories(c));
}

/** Errors for a cluster that no host is in. */
export function unknownCluster(name: string, known: Iterable<string>): SlipwayError {
  const near = nearest(name, known);
  return new SlipwayError("not-found", `cluster ${JSON.stringify(name)}: there is none of that name`, {
    fix: near ? `did you mean ${near}?` : "see slipway host list",
  });
}

function neverTold(name: string, connected: boolean): Reason {
  const fix = connected ? "its agent may be older than this controller" : `start slipway-agent on ${name}`;
  return { rule: "no-inventory", subject: name, text: `${name}: it has never told what runs on it`, fix };
}

function cordoned(name: string, holders: readonly string[]): Reason {
  const by = holders.map((h) => (h === "operator" ? "an operator" : `run ${h}`)).join(", ");
  return { rule: "cordoned", subject: name, text: `${name} is cordoned by ${by}`, fix: `slipway uncordon ${name}` };
}
