import type { HostCapacity, Instance, Inventory } from "@slipway/shared";
import type { Answer, Virsh } from "./virsh.ts";

export interface AdmissionFacts {
  readonly inventory: Inventory;
  /** MiB promised to instances that were admitted and have not arrived yet. */
  readonly promisedMib: number;
  /** Huge pages promised, by size in KiB. */
  readonly promisedPages: ReadonlyMap<number, number>;
  /** Whether a path exists here; undefined when its storage does not answer. */
  readonly exists: ReadonlyMap<string, boolean | undefined>;
}

/** Paths of the instance's disks, of which this host has to say whether it has them. */
export function pathsOf(instance: Instance): string[] {
  return instance.disks.map((disk) => disk.source).filter((source) => source.startsWith("/"));
}

/**
 * Why this host does not take an instance, each reason by itself; empty when it does. What needs the rules of the pool (labels,
 * overcommitted processors, groups) is the controller's; what is asked here is what only the host knows for certain, now.
 */
export function admissionProblems(instance: Instance, facts: AdmissionFacts): string[] {
  const { inventory } = facts;
  const { capacity } = inventory;
  if (inventory.problem !== "" || capacity === undefined)
    return [inventory.problem || "this host told no capacity yet"];
  return [
    ...identityProblems(instance, inventory.instances),
    ...platformProblems(instance, capacity),
    ...networkProblems(instance, capacity),
    ...instance.disks.flatMap((disk) => diskProblems(instance.name, disk, capacity, facts)),
    ...memoryProblems(instance, capacity, facts),
  ];
}

function identityProblems({ uuid, name }: Instance, here: readonly Instance[]): string[] {
  const problems: string[] = [];
  const same = here.find((one) => one.uuid === uuid);
  // A stopped definition of itself is a leftover of an earlier stay: the arrival replaces it.
  if (same !== undefined && same.state !== "shutoff") problems.push(`it is ${same.state} here already`);
  if (same?.saved === true) problems.push("memory of it is saved here; virsh managedsave-remove throws that away");
  const namesake = here.find((one) => one.name === name && one.uuid !== uuid);
  if (namesake !== undefined) problems.push(`another instance here has the name ${name} (${namesake.uuid})`);
  return problems;
}

function platformProblems({ virtType, machineType }: Instance, capacity: HostCapacity): string[] {
  const problems: string[] = [];
  if (virtType !== "" && !capacity.virtTypes.includes(virtType)) problems.push(`no ${virtType} guests run here`);
  if (machineType !== "" && !capacity.machineTypes.includes(machineType))
    problems.push(`the emulator here does not know the machine type ${machineType}`);
  return problems;
}

function networkProblems({ nics }: Instance, capacity: HostCapacity): string[] {
  return nics.flatMap(({ kind, source }) => {
    if (kind === "network")
      return capacity.networks.includes(source)
        ? []
        : [`network ${source} is not active here; virsh net-start ${source}`];
    if (kind === "bridge" || kind === "ovs")
      return capacity.bridges.includes(source) ? [] : [`there is no bridge ${source} here, or it is down`];
    return [];
  });
}

function diskProblems(
  instance: string,
  { kind, source, pool, target, sharedAs, sizeMib, device }: Instance["disks"][number],
  capacity: HostCapacity,
  { exists }: AdmissionFacts,
): string[] {
  if (source === "" || kind === "network") return [];
  const disk = `disk ${target} of ${instance}`;
  if (kind === "volume") {
    const found = capacity.pools.find((one) => one.name === pool);
    return found?.active === true ? [] : [`${disk} is in pool ${pool}, which is not active here`];
  }
  if (!source.startsWith("/") || exists.get(source) === true) return [];
  if (exists.get(source) === undefined) return [`${disk}: the storage of ${source} does not answer here`];
  if (sharedAs !== "" || device !== "disk") return [`${disk} is not there: ${source}`];
  // Its content is copied along; libvirt makes the file where there is a pool for it.
  const dir = source.slice(0, source.lastIndexOf("/")) || "/";
  const place = capacity.pools.find((one) => one.active && one.path === dir);
  if (place === undefined) return [`${disk} has no place here: no active pool at ${dir}`];
  if (place.type !== "mount" && place.freeMib < sizeMib)
    return [`${disk} needs ${sizeMib} MiB, pool ${place.name} has ${place.freeMib} MiB left`];
  return [];
}

function memoryProblems(
  { memoryMib, memoryMaxMib, hugepageKib, numaNodes }: Instance,
  capacity: HostCapacity,
  { promisedMib, promisedPages }: AdmissionFacts,
): string[] {
  const problems = numaNodes
    .filter((id) => !capacity.numa.some((node) => node.id === id && node.memoryMib > 0))
    .map((id) => `there is no NUMA node ${id} with memory here`);
  if (hugepageKib > 0) {
    const free = capacity.hugepages.find(({ sizeKib }) => sizeKib === hugepageKib)?.free ?? 0;
    const left = Math.max(0, free - (promisedPages.get(hugepageKib) ?? 0));
    const pages = pagesOf(memoryMaxMib, hugepageKib);
    if (pages > left) problems.push(`${left} huge pages of ${hugepageKib} KiB are left here, it needs ${pages}`);
    return problems;
  }
  const left = Math.max(0, capacity.memoryFreeMib - promisedMib);
  if (memoryMib > left) problems.push(`${left} MiB of memory are free here, it has ${memoryMib} MiB`);
  return problems;
}

export function pagesOf(mib: number, pageKib: number): number {
  return Math.ceil((mib * 1024) / pageKib);
}

/** The processor that the guest sees, for hypervisor-cpu-compare; undefined when it names none. */
export function cpuXml({
  cpuModel,
  cpuFeatures,
  cpuDisabled,
}: Pick<Instance, "cpuModel" | "cpuFeatures" | "cpuDisabled">): string | undefined {
  // Names of the emulator's models and features; nothing else gets into the document.
  if (![cpuModel, ...cpuFeatures, ...cpuDisabled].every((word) => /^[A-Za-z0-9._-]+$/.test(word))) return undefined;
  const asked = (policy: string, names: readonly string[]) =>
    names.map((name) => `<feature policy='${policy}' name='${name}'/>`).join("");
  const features = asked("require", cpuFeatures) + asked("disable", cpuDisabled);
  return `<cpu mode='custom' match='exact'><model>${cpuModel}</model>${features}</cpu>`;
}

/** An answer that there is no problem holds for this long: guests of a pool mostly see the same processor. */
const CPU_KNOWN_MS = 60_000;

/** Whether the processors of this host and its emulator can be what guests see. */
export class Processors {
  readonly #virsh: Virsh;
  readonly #monotonicMs: () => number;
  readonly #fine = new Map<string, number>();

  constructor(virsh: Virsh, monotonicMs: () => number) {
    this.#virsh = virsh;
    this.#monotonicMs = monotonicMs;
  }

  async problem(instance: Instance, arch: string): Promise<string | undefined> {
    const nowMs = this.#monotonicMs();
    for (const [key, untilMs] of this.#fine) if (nowMs > untilMs) this.#fine.delete(key);
    const { cpuModel, cpuFeatures, cpuDisabled, virtType, machineType } = instance;
    const key = JSON.stringify([cpuModel, cpuFeatures, cpuDisabled, virtType, machineType, arch]);
    if (this.#fine.has(key)) return undefined;
    const problem = await cpuProblem(this.#virsh, instance, arch);
    if (problem === undefined) this.#fine.set(key, nowMs + CPU_KNOWN_MS);
    return problem;
  }
}

/** Whether the processors of this host and its emulator can be what the guest sees. */
export async function cpuProblem(virsh: Virsh, instance: Instance, arch: string): Promise<string | undefined> {
  const input = cpuXml(instance);
  // A guest that sees its host's processor as it is has no description of its own; the planner compares hosts for it.
  if (input === undefined) return undefined;
  const of = [
    ...(instance.virtType === "" ? [] : ["--virttype", instance.virtType]),
    ...(instance.machineType === "" ? [] : ["--machine", instance.machineType]),
    ...(arch === "" ? [] : ["--arch", arch]),
  ];
  const answer = await virsh.run(["hypervisor-cpu-compare", "--error", ...of, "/dev/stdin"], { input });
  return cpuAnswer(answer, instance.cpuModel);
}

/** Reads what hypervisor-cpu-compare said. */
export function cpuAnswer({ state, text, stdout }: Answer, model: string): string | undefined {
  if (state === "ok" && /(?:superset of|identical to) (?:the )?CPU|identical/i.test(stdout)) return undefined;
  const missing = /does not provide required features: (.+?)(?:;|$)/.exec(text)?.[1];
  if (missing !== undefined) return `the processor here lacks ${missing} of the CPU model ${model}`;
  return `whether the processor here can be a ${model} is not known: ${text || stdout.trim() || state}`;
}
