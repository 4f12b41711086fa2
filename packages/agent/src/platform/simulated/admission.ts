import type { HostCapacity, Instance } from "@slipway/shared";

/** As much of an instance as decides where it can run. */
export type Needs = Omit<Instance, "startedAtMs" | "generation" | "job">;

/** Memory that an instance may come to use, in MiB. */
export function memoryOf(instance: Pick<Needs, "memoryMib" | "memoryMaxMib">): number {
  return Math.max(instance.memoryMib, instance.memoryMaxMib);
}

/**
 * Why a host does not take an instance, as one sentence that begins with its name; undefined when it does. `others` are those
 * that take room here already. What depends on rules of the pool (labels, overcommitted processors) is the controller's.
 */
export function admissionProblem(
  host: string,
  capacity: HostCapacity,
  others: readonly Needs[],
  needs: Needs,
): string | undefined {
  const { name } = needs;
  if (!covers(capacity.virtTypes, needs.virtType)) return `${host} runs no ${needs.virtType} guests`;
  if (!covers(capacity.machineTypes, needs.machineType))
    return `${host} does not know machine type ${needs.machineType}`;
  if (!covers(capacity.cpuModels, needs.cpuModel)) return `${host} cannot run the CPU model ${needs.cpuModel}`;
  const feature = needs.cpuFeatures.find((one) => !capacity.cpuFeatures.includes(one));
  if (feature !== undefined) return `${host} has no CPU feature ${feature}, which ${name} requires`;
  for (const { kind, source } of needs.nics) {
    const known = kind === "network" ? capacity.networks : capacity.bridges;
    if (kind !== "user" && !known.includes(source)) return `${host} has no ${kind} ${source}, which ${name} is on`;
  }
  const [device] = needs.devices;
  if (device !== undefined) return `${host} does not have ${device.kind} device ${device.name}, which ${name} holds`;
  for (const { target, sharedAs, kind } of needs.disks)
    if (
      sharedAs !== "" &&
      kind !== "network" &&
      !capacity.pools.some((pool) => pool.active && pool.sharedAs === sharedAs)
    )
      return `${host} does not reach disk ${target} of ${name} (${sharedAs})`;
  return needs.hugepageKib > 0
    ? pagesProblem(host, capacity, others, needs)
    : memoryProblem(host, capacity, others, needs);
}

function covers(known: readonly string[], wanted: string): boolean {
  return wanted === "" || known.includes(wanted);
}

function memoryProblem(
  host: string,
  capacity: HostCapacity,
  others: readonly Needs[],
  needs: Needs,
): string | undefined {
  const setAside = sum(capacity.hugepages, ({ sizeKib, total }) => (sizeKib * total) / 1_024);
  const taken = sum(others, (one) => (one.hugepageKib > 0 ? 0 : memoryOf(one)));
  const left = Math.max(0, Math.floor(capacity.memoryMib - setAside - taken));
  if (memoryOf(needs) <= left) return undefined;
  return `${host} has ${left} MiB of memory left, ${needs.name} needs ${memoryOf(needs)} MiB`;
}

function pagesProblem(
  host: string,
  capacity: HostCapacity,
  others: readonly Needs[],
  needs: Needs,
): string | undefined {
  const size = needs.hugepageKib;
  const pages = (one: Needs) => Math.ceil((memoryOf(one) * 1_024) / size);
  const total = capacity.hugepages.find(({ sizeKib }) => sizeKib === size)?.total ?? 0;
  const left = Math.max(0, total - sum(others, (one) => (one.hugepageKib === size ? pages(one) : 0)));
  if (pages(needs) <= left) return undefined;
  return `${host} has ${left} huge pages of ${size} KiB left, ${needs.name} needs ${pages(needs)}`;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
