// Judges rolling plans by replaying them. Shares no code with the planner on purpose, only the words of its input and
// output: what the planner got wrong, this must not get wrong in the same way.
import type {
  PlannedMove,
  PoolHost,
  PoolInstance,
  PoolSnapshot,
  RollingOptions,
  RollingPlan,
} from "../../packages/controller/src/planner/rolling/index.ts";
import { checkTimes } from "./checker-times.ts";

export interface Rules {
  readonly snapshot: PoolSnapshot;
  readonly options: RollingOptions;
  readonly host: ReadonlyMap<string, PoolHost>;
  readonly instance: ReadonlyMap<string, PoolInstance>;
  readonly inScope: readonly string[];
  /** Hosts that are out in the snapshot: what they break is not the plan's doing. */
  readonly already: ReadonlySet<string>;
  /** Instances that stay where they are and are stopped: those of movability `stop`, and who must stay with them. */
  readonly stays: ReadonlySet<string>;
}

/** Everything that is wrong with a plan; empty if nothing is. */
export function violationsOf(snapshot: PoolSnapshot, options: RollingOptions, plan: RollingPlan): string[] {
  const rules = rulesOf(snapshot, options);
  return [...checkWaves(rules, plan), ...checkReplay(rules, plan), ...checkTimes(rules, plan)];
}

export function rulesOf(snapshot: PoolSnapshot, options: RollingOptions): Rules {
  const excluded = new Set(options.exclude);
  const stiff = snapshot.instances.filter((it) => it.movability === "stop");
  return {
    snapshot,
    options,
    host: new Map(snapshot.hosts.map((h) => [h.name, h])),
    instance: new Map(snapshot.instances.map((i) => [i.name, i])),
    inScope: snapshot.hosts.filter((h) => h.state === "in-scope" && !excluded.has(h.name)).map((h) => h.name),
    already: new Set(snapshot.hosts.filter((h) => h.state === "out").map((h) => h.name)),
    stays: new Set(
      snapshot.instances.filter((it) => stiff.some((other) => other === it || areOne(it, other))).map((it) => it.name),
    ),
  };
}

function sorted(names: readonly string[]): string {
  return [...names].sort().join(",");
}

function checkWaves(rules: Rules, plan: RollingPlan): string[] {
  const bad: string[] = [];
  const { already } = rules;
  if (sorted(plan.waves.flat()) !== sorted([...rules.inScope, ...already]))
    bad.push(`waves do not hold every host in scope once: ${plan.waves.flat().length} of ${rules.inScope.length}`);
  if (sorted(plan.turns.map((t) => t.host)) !== sorted(plan.waves.flat())) bad.push("turns and waves differ");
  for (const turn of plan.turns)
    if (!plan.waves[turn.wave]?.includes(turn.host)) bad.push(`${turn.host}: not in the wave of its turn`);
  for (const [w, wave] of plan.waves.entries())
    for (const text of limitsBroken(rules, wave)) bad.push(`wave ${w}: ${text}`);
  const canary = rules.options.canary?.host;
  if (canary !== undefined && rules.inScope.includes(canary)) {
    const first = plan.waves.map((wave) => wave.filter((h) => !already.has(h))).find((wave) => wave.length > 0) ?? [];
    if (sorted(first) !== canary) bad.push(`canary ${canary}: the first wave is ${first.join(",")}`);
  }
  const order = (rules.options.order ?? []).filter((h) => rules.inScope.includes(h) && h !== canary);
  const waveOf = new Map(plan.waves.flatMap((wave, w) => wave.map((h) => [h, w] as const)));
  for (const [i, h] of order.entries()) {
    const next = order[i + 1];
    if (next !== undefined && (waveOf.get(h) ?? 0) > (waveOf.get(next) ?? 0)) bad.push(`${next} goes before ${h}`);
  }
  const last = Math.max(-1, ...order.map((h) => waveOf.get(h) ?? 0));
  for (const [h, w] of waveOf)
    if (rules.inScope.includes(h) && h !== canary && !order.includes(h) && w < last)
      bad.push(`${h} goes before the order is over`);
  const stopped = new Set(plan.turns.flatMap((t) => t.stops));
  const consented = new Set(rules.options.consented);
  for (const it of rules.snapshot.instances) {
    const isMeant = rules.stays.has(it.name) && rules.inScope.includes(it.host);
    if (isMeant !== stopped.has(it.name)) bad.push(`${it.name}: stopped ${stopped.has(it.name)}, should be ${isMeant}`);
    if (isMeant && !consented.has(it.name) !== plan.consentsNeeded.includes(it.name)) bad.push(`${it.name}: consent`);
  }
  return bad;
}

/** Limits that these hosts break when they are out together. */
export function limitsBroken(rules: Rules, out: readonly string[]): string[] {
  const { snapshot, options, host, instance, inScope, already, stays } = rules;
  if (out.every((name) => already.has(name))) return [];
  const bad: string[] = [];
  const isOut = new Set(out);
  const share = (limit: number | string | undefined, total: number) =>
    limit === undefined
      ? Number.POSITIVE_INFINITY
      : typeof limit === "number"
        ? limit
        : Math.max(1, Math.floor((Number(limit.replace("%", "")) / 100) * total));
  const max = share(options.maxOut, inScope.length + already.size);
  if (out.length > max) bad.push(`${out.length} hosts out, at most ${max}`);
  for (const limit of options.domainLimits ?? []) {
    const value = (h: PoolHost) => h.labels[limit.label] ?? `\0${h.name}`;
    const counts = new Map<string, number>();
    for (const name of out) {
      const h = host.get(name);
      if (h) counts.set(value(h), (counts.get(value(h)) ?? 0) + 1);
    }
    if (counts.size > (limit.maxDomains ?? Number.POSITIVE_INFINITY))
      bad.push(`${counts.size} of ${limit.label} have hosts out`);
    for (const [v, count] of counts) {
      const total = snapshot.hosts.filter((h) => value(h) === v).length;
      if (count > share(limit.maxHosts, total)) bad.push(`${limit.label} ${v}: ${count} hosts out of ${total}`);
    }
  }
  for (const group of snapshot.quorumGroups ?? []) {
    const up = group.members.filter((name) => {
      const it = instance.get(name);
      const h = host.get(name) ?? host.get(it?.host ?? "");
      if (!h || h.state === "unavailable") return false;
      if (host.has(name)) return !isOut.has(name);
      return !(stays.has(name) && isOut.has(h.name));
    });
    if (up.length < group.minUp && out.some((name) => !already.has(name) && touches(rules, name, group.members)))
      bad.push(`quorum group ${group.name}: ${up.length} up, ${group.minUp} needed`);
  }
  if (options.mayGoOut)
    for (const name of out)
      if (
        !options.mayGoOut(
          [name],
          out.filter((other) => other !== name),
        )
      )
        bad.push(`${name}: the gate does not allow it`);
  return bad;
}

function touches({ instance, stays }: Rules, host: string, members: readonly string[]): boolean {
  return members.some((m) => m === host || (instance.get(m)?.host === host && stays.has(m)));
}

/** What an instance asks of a host, room and company aside; empty if it may run there. */
export function misfit(rules: Rules, it: PoolInstance, target: PoolHost): string {
  const origin = rules.host.get(it.host);
  if (target.state === "unavailable") return "it is unavailable";
  if ((origin?.labels["cluster"] ?? "default") !== (target.labels["cluster"] ?? "default"))
    return "it is in another cluster";
  if (it.allowed && !it.allowed.includes(target.name)) return "it is not among the allowed hosts";
  for (const [label, value] of Object.entries(it.requires ?? {}))
    if (target.labels[label] !== value) return `it lacks ${label}=${value}`;
  if (it.secondary !== undefined && target.name !== it.secondary && target.name !== it.host)
    return "its disk is elsewhere";
  return "";
}

/** Room on hosts, kept move by move. Hosts that are too full from the start may stay so, but take nothing. */
export class Rooms {
  readonly #rules: Rules;
  readonly #free = new Map<string, [memory: number, cpu: number, huge: number]>();

  constructor(rules: Rules) {
    this.#rules = rules;
    const { options } = rules;
    for (const h of rules.snapshot.hosts)
      this.#free.set(h.name, [
        h.memoryMiB - (options.reserveMiB ?? 0),
        Math.floor(h.vcpus * (options.cpuOvercommit ?? 4) + 1e-9),
        h.hugepagesMiB ?? 0,
      ]);
    for (const it of rules.snapshot.instances) this.change(it.name, it.host, -1);
  }

  change(instance: string, host: string, sign: 1 | -1): void {
    const it = this.#rules.instance.get(instance);
    const free = this.#free.get(host);
    if (!it || !free) return;
    free[0] += sign * it.memoryMiB;
    free[1] += sign * it.vcpus;
    free[2] += sign * (it.hugepagesMiB ?? 0);
  }

  lack(host: string, instance: string): string {
    const [memory, cpu, huge] = this.#free.get(host) ?? [0, 0, 0];
    const it = this.#rules.instance.get(instance);
    if (memory < 0) return `memory short by ${-memory} MiB`;
    if (cpu < 0 && (it?.vcpus ?? 0) > 0) return `virtual CPUs short by ${-cpu}`;
    if (huge < 0 && (it?.hugepagesMiB ?? 0) > 0) return `huge pages short by ${-huge} MiB`;
    return "";
  }
}

/** The plan made one step after the other, wave by wave. */
function checkReplay(rules: Rules, plan: RollingPlan): string[] {
  const bad: string[] = [];
  const at = new Map(rules.snapshot.instances.map((it) => [it.name, it.host]));
  const rooms = new Rooms(rules);
  const groups = new Map<string, PoolInstance[]>();
  for (const it of rules.snapshot.instances)
    for (const g of it.antiAffinity ?? []) groups.set(g, [...(groups.get(g) ?? []), it]);
  const isAway = new Set(rules.snapshot.hosts.filter((h) => h.state === "out").map((h) => h.name));
  const inTurn = [...plan.moves].sort((a, b) => a.wave - b.wave);
  let next = 0;
  const make = (move: PlannedMove) => {
    const it = rules.instance.get(move.instance);
    const target = rules.host.get(move.to);
    const label = `${move.instance} ${move.from} => ${move.to}`;
    if (!it || !target) return bad.push(`${label}: unknown`);
    if (at.get(move.instance) !== move.from) bad.push(`${label}: it is on ${at.get(move.instance)}`);
    if (it.movability !== "live" || rules.stays.has(it.name)) bad.push(`${label}: it cannot be moved`);
    const why = misfit(rules, it, target);
    if (why !== "") bad.push(`${label}: ${why}`);
    if (isAway.has(move.to)) bad.push(`${label}: the target is away`);
    for (const g of it.antiAffinity ?? [])
      for (const other of groups.get(g) ?? [])
        if (other.name !== it.name && at.get(other.name) === move.to && !areOne(it, other))
          bad.push(`${label}: ${other.name} of ${g} is there`);
    rooms.change(it.name, move.from, 1);
    rooms.change(it.name, move.to, -1);
    at.set(it.name, move.to);
    const lack = rooms.lack(move.to, it.name);
    if (lack !== "") bad.push(`${label}: ${lack}`);
    return 0;
  };
  for (let w = 0; w <= plan.waves.length; w++) {
    const wave = plan.waves[w] ?? [];
    for (; next < inTurn.length && inTurn[next]?.wave === w; next++) make(inTurn[next] as PlannedMove);
    for (const h of wave) isAway.add(h);
    for (const [name, h] of at)
      if (wave.includes(h) && !rules.stays.has(name)) bad.push(`wave ${w}: ${name} is left on ${h}`);
    bad.push(...apart(rules, at).map((text) => `wave ${w}: ${text}`));
    for (const h of wave) isAway.delete(h);
  }
  if (next < inTurn.length) bad.push(`${inTurn.length - next} moves after the last wave's`);
  if ((rules.options.return ?? "none") !== "none") {
    const elsewhere = rules.snapshot.instances.filter((it) => it.home !== undefined && at.get(it.name) !== it.home);
    if (sorted(elsewhere.map((it) => it.name)) !== sorted(plan.notReturned)) bad.push("notReturned is wrong");
    if (rules.options.return === "exact" && elsewhere.length > 0)
      bad.push(`${elsewhere.length} instances are not at home`);
  }
  return bad;
}

function areOne(a: PoolInstance, b: PoolInstance): boolean {
  return a.affinity !== undefined && a.affinity === b.affinity && a.host === b.host;
}

/** Affinity groups that shared a host at the start and do not any more. */
function apart(rules: Rules, at: ReadonlyMap<string, string>): string[] {
  const seen = new Map<string, string>();
  const bad: string[] = [];
  for (const it of rules.snapshot.instances) {
    if (it.affinity === undefined) continue;
    const key = `${it.affinity}\0${it.host}`;
    const where = at.get(it.name) ?? "";
    if ((seen.get(key) ?? where) !== where) bad.push(`${it.affinity}: its members are apart`);
    seen.set(key, where);
  }
  return bad;
}
