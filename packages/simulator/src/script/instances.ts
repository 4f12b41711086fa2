import { plainInstance, type SimulatedInstance } from "@slipway/agent/internals";
import type { InstanceVerb } from "@slipway/shared";

/** What stands in a file of a scenario. */
export type Yaml = Record<string, unknown>;

type Disk = SimulatedInstance["disks"][number];
type Device = SimulatedInstance["devices"][number];

/** An instance is numbered by the digits of its name, so that keys in logs can be read. */
export function uuidOf(name: string, series = 0): string {
  const digits = name.replace(/\D/g, "").slice(-12).padStart(12, "0");
  return `${series.toString(16).padStart(8, "0")}-0000-4000-8000-${digits}`;
}

export function instanceOf(name: string, given: Yaml): SimulatedInstance {
  const metadata: Record<string, string> = {};
  for (const key of ["policy", "apart", "group", "home", "tier", "weight", "requires"])
    if (given[key] !== undefined) metadata[key] = String(given[key]);
  const isLocal = given["disk"] === "local";
  const disk: Partial<Disk> = {
    target: "vda",
    device: "disk",
    kind: "file",
    source: `/vm/${name}.qcow2`,
    pool: "vm",
    sharedAs: isLocal ? "" : "netfs simulated:/vm",
    readonly: false,
    shareable: false,
    sizeMib: 4_096,
  };
  const device: Partial<Device> = { kind: "pci", name: String(given["device"]) };
  const verbs = (key: string) => [given[key] ?? []].flat() as InstanceVerb[];
  return {
    ...plainInstance(uuidOf(name), name),
    memoryMib: Number(given["memory"] ?? 1) * 1_024,
    state: String(given["state"] ?? "running"),
    metadata,
    disks: [disk as Disk],
    devices: given["device"] === undefined ? [] : [device as Device],
    cpuModel: String(given["cpu"] ?? ""),
    fail: verbs("fails"),
    stuck: verbs("stuck"),
    slow: Number(given["slow"] ?? 1),
    autostart: given["autostart"] === true,
    persistent: given["transient"] !== true,
  };
}
