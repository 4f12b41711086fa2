import { createHash } from "node:crypto";
import type { Instance, InstanceLook } from "@slipway/shared";
import { isService, type Picture } from "./reader.ts";
import type { Machine, UnitFile } from "./tables.ts";
import { mayRunOn, type Requirements, requirementText } from "./unit-file.ts";

/** Namespace of the UUIDs that units are given, since fleet has none. Never to be changed: they are in journals and ledgers. */
const NAMESPACE = "5f1d4f1a-3c0e-5b7e-9a52-6d1f0c2b8e47";

/** The same on every host and after every restart (RFC 9562, version 5). A global unit is another one on each machine. */
export function uuidOf(unit: string, machine = ""): string {
  const bytes = createHash("sha1")
    .update(Buffer.from(NAMESPACE.replaceAll("-", ""), "hex"))
    .update(machine === "" ? unit : `${unit}\n${machine}`)
    .digest()
    .subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** By which this machine is known as a target: fleet moves by machines, not by addresses. */
export function addressOf(machine: string): string {
  return `fleet://${machine}`;
}

/** The units of this machine. What systemd runs here counts whatever fleet's lists say. */
export function instancesOf(picture: Picture): Instance[] {
  const { files, local, machine, states } = picture;
  const names = new Set<string>();
  for (const { unit, machine: at } of files.values()) if (at === machine) names.add(unit);
  for (const { unit, machine: at, active } of states)
    if (at === machine && (isUp(active) || files.get(unit)?.global)) names.add(unit);
  for (const [unit, { active }] of local) if (isUp(active)) names.add(unit);
  return [...names]
    .filter(isService)
    .sort()
    .map((unit) => instanceOf(unit, picture));
}

function instanceOf(unit: string, picture: Picture): Instance {
  const file = picture.files.get(unit);
  const requirements = picture.requirements.get(unit);
  const { state, reason, job } = stateOf(unit, file, picture);
  return {
    ...plain,
    uuid: uuidOf(unit, file?.global ? picture.machine : ""),
    name: unit,
    state,
    stateReason: reason,
    job,
    metadata: metadataOf(file, requirements, picture),
    pinned: pinOf(file, requirements, picture),
  };
}

/** What is not known of a unit, or does not count for one. */
const plain: Omit<Instance, "uuid" | "name"> = {
  state: "unknown",
  stateReason: "",
  vcpus: 0,
  memoryMib: 0,
  memoryMaxMib: 0,
  hugepageKib: 0,
  disks: [],
  devices: [],
  cpuMode: "",
  cpuModel: "",
  cpuFeatures: [],
  cpuDisabled: [],
  machineType: "",
  virtType: "",
  nics: [],
  autostart: false,
  persistent: true,
  guestAgent: false,
  metadata: {},
  generation: 0,
  job: "",
  saved: false,
  numaNodes: [],
  pinned: "",
  startedAtMs: 0n,
};

export function isUp(active: string): boolean {
  return active === "active" || active === "reloading" || active === "activating" || active === "deactivating";
}

/** systemd of this host knows best, what fleet heard of it last comes next. */
function stateOf(
  unit: string,
  file: UnitFile | undefined,
  picture: Picture,
): { state: string; reason: string; job: string } {
  const own = picture.local.get(unit);
  const seen =
    own?.load === "loaded" ? own : picture.states.find((s) => s.unit === unit && s.machine === picture.machine);
  const reason = seen?.sub ?? "";
  // Without the daemon nobody wants anything of it.
  const isWanted = !picture.isRunning || file?.wanted === "launched";
  switch (seen?.active) {
    case "active":
    case "reloading":
      return { state: "running", reason, job: isWanted ? "" : "stopping" };
    case "activating":
      return { state: "running", reason, job: "starting" };
    case "deactivating":
      return { state: "running", reason, job: "stopping" };
    case "failed":
      return { state: "crashed", reason, job: "" };
    case undefined:
      return { state: "shutoff", reason, job: isWanted ? "starting" : "" };
    case "inactive":
      return {
        state: "shutoff",
        reason,
        job: isWanted && file?.global === false && file.state !== "launched" ? "starting" : "",
      };
    default:
      return { state: "unknown", reason, job: "" };
  }
}

function metadataOf(
  file: UnitFile | undefined,
  requirements: Requirements | undefined,
  { machines }: Picture,
): Record<string, string> {
  const found: Record<string, string> = { "default-policy": "failover" };
  if (file?.global) found["fleet.global"] = "true";
  if (requirements === undefined) return found;
  const { conflicts, machineOf, replaces, weight } = requirements;
  if (weight !== "") found["weight"] = weight;
  if (conflicts.length > 0) found["fleet.conflicts"] = conflicts.join(" ");
  if (replaces.length > 0) found["fleet.replaces"] = replaces.join(" ");
  if (machineOf.length > 0) found["fleet.machine-of"] = machineOf.join(" ");
  const able = machines.filter((machine) => mayRunOn(requirements, machine));
  if (able.length < machines.length) found["fleet.machines"] = able.map(({ id }) => addressOf(id)).join(" ");
  return found;
}

/** Why it cannot run on another machine, or not by itself; a choice of several machines is no pin. */
function pinOf(
  file: UnitFile | undefined,
  requirements: Requirements | undefined,
  { machine, machines }: Picture,
): string {
  if (file?.global) return "Global=true";
  if (requirements === undefined) return "";
  const others = machines.some((one) => one.id !== machine && mayRunOn(requirements, one));
  const text = requirementText(requirements);
  if (text !== "" && !others) return text;
  return requirements.machineOf.map((unit) => `MachineOf=${unit}`).join(" ");
}

/** As an instance step reports it. */
export function lookOf(uuid: string, picture: Picture): InstanceLook {
  const nothing = { problem: "", present: false, state: "", job: "", generation: 0, bytes: 0n, downtimeMs: 0 };
  const found = instancesOf(picture).find((one) => one.uuid === uuid);
  return found === undefined ? nothing : { ...nothing, present: true, state: found.state, job: found.job };
}

/** A machine in words: its name by its metadata, its address, its id. */
export function nameOf(id: string, machines: readonly Machine[]): string {
  const known = machines.find((one) => one.id === id);
  const name = known?.metadata["name"] ?? known?.metadata["hostname"] ?? "";
  return [name, known?.ip ?? ""].filter((word) => word !== "").join(", ") || `machine ${id}`;
}
