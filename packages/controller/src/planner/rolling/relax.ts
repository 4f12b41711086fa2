import { clusterOf } from "../plan.ts";
import { make } from "./make.ts";
import type { Infeasible, Relaxation } from "./result.ts";
import type { PoolHost, PoolInstance, PoolSnapshot, RollingOptions } from "./snapshot.ts";

/** Units planned in all attempts together, and attempts at most: relaxing is worth no more than some plans. */
const EFFORT = 120_000;
const MOST_ATTEMPTS = 24;
/** Instances or hosts in one relaxation. */
const MOST_ITEMS = 12;

/** The least changes found that make a plan possible; each was planned with. */
export function relaxationsOf(snapshot: PoolSnapshot, options: RollingOptions, why: Infeasible): Relaxation[] {
  // A return that fails is no question of room, and hosts at their limit need members back, not instances gone.
  if (why.reasons.every((reason) => reason.rule === "return")) return [];
  const relaxing = new Relaxing(snapshot, options, why);
  return [relaxing.stopping(), relaxing.excluding(), relaxing.adding()]
    .filter((found) => found !== undefined)
    .sort((a, b) => size(a) - size(b));
}

function size(relaxation: Relaxation): number {
  if (relaxation.kind === "stop") return relaxation.instances.length;
  return relaxation.kind === "exclude" ? relaxation.hosts.length : 1;
}

class Relaxing {
  readonly #snapshot: PoolSnapshot;
  readonly #options: RollingOptions;
  readonly #why: Infeasible;
  #left: number;

  constructor(snapshot: PoolSnapshot, options: RollingOptions, why: Infeasible) {
    this.#snapshot = snapshot;
    this.#options = options;
    this.#why = why;
    this.#left = Math.min(MOST_ATTEMPTS, Math.max(6, Math.floor(EFFORT / Math.max(1, snapshot.instances.length))));
  }

  /** Instances stopped for their hosts' turns: whoever a reason names, else the largest of the host that it names. */
  stopping(): Relaxation | undefined {
    const { instances } = this.#snapshot;
    const isStopped = (chosen: readonly string[]) => ({
      ...this.#snapshot,
      instances: instances.map((it) => (chosen.includes(it.name) ? { ...it, movability: "stop" as const } : it)),
    });
    const candidate = (subject: string, chosen: readonly string[]) => {
      const open = (it: PoolInstance) => it.movability !== "stop" && !chosen.includes(it.name);
      const named = instances.find((it) => it.name === subject && open(it));
      const here = instances.filter((it) => it.host === subject && it.movability === "live" && open(it));
      return (named ?? here.sort((a, b) => b.memoryMiB - a.memoryMiB || (a.name < b.name ? -1 : 1))[0])?.name;
    };
    const found = this.#grow(candidate, (chosen) => this.#attempt(isStopped(chosen), this.#options));
    return found && { kind: "stop", instances: found };
  }

  /** Hosts left out: those that a reason names, or the host of the instance that it names. */
  excluding(): Relaxation | undefined {
    const hosts = new Set(this.#snapshot.hosts.filter((h) => h.state === "in-scope").map((h) => h.name));
    const candidate = (subject: string, chosen: readonly string[]) => {
      const host = hosts.has(subject) ? subject : this.#snapshot.instances.find((it) => it.name === subject)?.host;
      return host !== undefined && hosts.has(host) && !chosen.includes(host) ? host : undefined;
    };
    const found = this.#grow(candidate, (chosen) =>
      this.#attempt(this.#snapshot, { ...this.#options, exclude: [...(this.#options.exclude ?? []), ...chosen] }),
    );
    return found && { kind: "exclude", hosts: found };
  }

  /** One more host, empty and as large as the largest of its cluster. */
  adding(): Relaxation | undefined {
    const { hosts, instances } = this.#snapshot;
    const subject = this.#why.reasons.find((r) => r.rule !== "gate" && r.rule !== "pinned")?.subject;
    const near = hosts.find((h) => h.name === (instances.find((it) => it.name === subject)?.host ?? subject));
    if (!near) return undefined;
    const cluster = clusterOf(near.labels);
    const peers = hosts.filter((h) => clusterOf(h.labels) === cluster);
    const memoryMiB = Math.max(...peers.map((h) => h.memoryMiB));
    const vcpus = Math.max(...peers.map((h) => h.vcpus));
    const hugepagesMiB = Math.max(...peers.map((h) => h.hugepagesMiB ?? 0));
    const spare: PoolHost = { ...near, name: "one more host", memoryMiB, vcpus, hugepagesMiB, state: "out-of-scope" };
    const made = this.#attempt({ ...this.#snapshot, hosts: [...hosts, spare] }, this.#options);
    return made?.feasible ? { kind: "add-host", cluster, memoryMiB, vcpus } : undefined;
  }

  /** Adds what the first reason calls for until there is a plan, then takes out again what it turns out not to need. */
  #grow(
    candidate: (subject: string, chosen: readonly string[]) => string | undefined,
    attempt: (chosen: readonly string[]) => ReturnType<typeof make> | undefined,
  ): string[] | undefined {
    // One alone, whichever reason it comes from, is the smallest there is.
    const singles = new Set(this.#why.reasons.slice(0, MOST_ITEMS).flatMap((r) => candidate(r.subject, []) ?? []));
    if (singles.size > 1) for (const single of singles) if (attempt([single])?.feasible) return [single];
    let chosen: string[] = [];
    let reasons = this.#why.reasons;
    while (chosen.length < MOST_ITEMS) {
      const next = reasons.map((r) => candidate(r.subject, chosen)).find((name) => name !== undefined);
      if (next === undefined) return undefined;
      chosen.push(next);
      const made = attempt(chosen);
      if (made === undefined) return undefined;
      if (made.feasible) break;
      reasons = made.reasons;
    }
    if (!attempt(chosen)?.feasible) return undefined;
    for (const item of [...chosen]) {
      const fewer = chosen.filter((other) => other !== item);
      if (fewer.length > 0 && attempt(fewer)?.feasible) chosen = fewer;
    }
    return chosen;
  }

  #attempt(snapshot: PoolSnapshot, options: RollingOptions): ReturnType<typeof make> | undefined {
    return this.#left-- > 0 ? make(snapshot, options, true) : undefined;
  }
}
