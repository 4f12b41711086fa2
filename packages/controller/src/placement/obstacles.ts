import type { Disk, HostCapacity, Instance, StoragePool } from "@slipway/shared";
import type { HostInventory } from "../domain/inventory.ts";
import type { Policy, PoolConfig } from "../domain/pool.ts";
import type { Reason } from "../domain/words.ts";
import { settle } from "./settle.ts";
import { listText, sentence } from "./text.ts";

/** One thing in the way. `phrase` goes on from a subject: "has no bridge br9". */
export interface Obstacle {
  readonly rule: string;
  readonly phrase: string;
  readonly fix: string;
}

/**
 * Why the instance cannot live on `to`, coming from `from`, however much room there is; empty: it can. Each reason names the
 * device, disk, network or feature.
 */
export function whyNot(
  instance: Instance,
  from: HostInventory,
  to: HostInventory,
  pool: PoolConfig,
  policy: Policy,
): readonly Reason[] {
  const { problem } = settle(instance, pool);
  return [
    ...(problem ? [problem] : []),
    ...ties(instance, from).map((o) => tieReason(instance, from.host, o)),
    ...misfits(instance, from, to, pool, policy).map((o) => ({
      rule: o.rule,
      subject: instance.name,
      text: `${instance.name} cannot run on ${to.host}: ${sentence([to.host], o.phrase)}`,
      fix: o.fix,
    })),
  ];
}

/** An obstacle that holds for every target. */
export function tieReason(instance: Instance, host: string, o: Obstacle): Reason {
  return {
    rule: o.rule,
    subject: instance.name,
    text: `${instance.name} cannot leave ${host}: it ${o.phrase}`,
    fix: o.fix,
  };
}

const states: Readonly<Record<string, { phrase: string; fix: string }>> = {
  suspended: {
    phrase: "is suspended, asleep by its own wish",
    fix: "wake it up (virsh dompmwakeup), or shut it down",
  },
  crashed: { phrase: "is crashed", fix: "look into it, then destroy or restart it" },
  incoming: { phrase: "is just arriving by a migration", fix: "wait until it has arrived" },
};

/** What ties an instance to its host, whatever the target. */
export function ties(instance: Instance, from: HostInventory): Obstacle[] {
  const out: Obstacle[] = [];
  if (!["running", "paused", "shutoff"].includes(instance.state)) {
    const known = states[instance.state] ?? {
      phrase: `is in a state that is not known (${JSON.stringify(instance.state)})`,
      fix: `look at it on ${from.host}`,
    };
    out.push({ rule: "instance-state", ...known });
  }
  if (instance.pinned !== "")
    out.push({
      rule: "pinned",
      phrase: `is pinned to it by its platform (${instance.pinned})`,
      fix: "have it stopped for the host's turn, or take the pin away",
    });
  for (const device of instance.devices)
    out.push({
      rule: device.kind === "tpm" ? "tpm" : "passthrough-device",
      phrase: `holds ${deviceKinds[device.kind] ?? `${device.kind} device`} ${device.name} of the host`,
      fix: "have it stopped for the host's turn, or detach the device",
    });
  for (const nic of instance.nics)
    if (nic.kind === "sriov" && !instance.devices.some((d) => d.name === nic.source))
      out.push({
        rule: "passthrough-device",
        phrase: `holds the SR-IOV network device ${nic.source} of the host`,
        fix: "have it stopped for the host's turn, or give it a network on a bridge",
      });
  return out;
}

const deviceKinds: Readonly<Record<string, string>> = {
  pci: "PCI device",
  usb: "USB device",
  vgpu: "virtual GPU",
  sriov: "SR-IOV device",
  scsi: "SCSI device",
  block: "block device",
  tpm: "TPM",
};

/** What is wrong with one target. Phrases have the target as their subject. */
export function misfits(
  instance: Instance,
  from: HostInventory,
  to: HostInventory,
  pool: PoolConfig,
  policy: Policy,
): Obstacle[] {
  const here = from.inventory.capacity;
  const there = to.inventory.capacity;
  if (to.inventory.platform !== from.inventory.platform)
    return [
      {
        rule: "platform",
        phrase: `has the platform ${to.inventory.platform || "none"}, not ${from.inventory.platform}`,
        fix: "",
      },
    ];
  if (there === undefined || here === undefined)
    return [
      there
        ? { rule: "no-capacity", phrase: `cannot be compared: ${from.host} told no capacity`, fix: "" }
        : { rule: "no-capacity", phrase: "has not told what it can carry", fix: `look at the agent of ${to.host}` },
    ];
  const out: Obstacle[] = [];
  const lacks = (rule: string, thing: string, fix: string) => out.push({ rule, phrase: `has no ${thing}`, fix });

  for (const label of settle(instance, pool).requires)
    if (!carries(to.labels, label))
      lacks("label", `label ${label}, which ${instance.name} requires`, `slipway host label ${to.host} ${label}`);
  if (here.cpuArch !== there.cpuArch)
    out.push({
      rule: "architecture",
      phrase: `is ${there.cpuArch || "of unknown architecture"}, not ${here.cpuArch}`,
      fix: "",
    });
  const about = factsOf(there);
  if (instance.virtType !== "" && !about.virtTypes.has(instance.virtType))
    lacks("virt-type", `${instance.virtType} for guests`, "");
  if (instance.machineType !== "" && !about.machineTypes.has(instance.machineType))
    lacks("machine-type", `machine type ${instance.machineType}`, `bring its emulator to the version of ${from.host}`);
  for (const nic of instance.nics) {
    const needed = nicOf(nic.kind, nic.source, about);
    if (needed) lacks("network", needed, `set it up on ${to.host}`);
  }
  out.push(...processor(instance, from.host, here, there));
  if (instance.hugepageKib > 0 && !there.hugepages.some((h) => h.sizeKib === instance.hugepageKib && h.total > 0))
    lacks("hugepages", `huge pages of ${instance.hugepageKib} KiB`, `reserve some on ${to.host}`);
  const missing = instance.numaNodes.filter((n) => !there.numa.some((node) => node.id === n && node.memoryMib > 0));
  if (missing.length > 0)
    lacks(
      "numa",
      `NUMA node ${missing.join(", ")}, which the memory is bound to strictly`,
      "bind the memory less strictly",
    );
  for (const disk of instance.disks) {
    const obstacle = reach(disk, instance.name, from, here, to.host, about, policy);
    if (obstacle) out.push(obstacle);
  }
  return out;
}

/** `name=value`, or `name` for any value. */
function carries(labels: Readonly<Record<string, string>>, label: string): boolean {
  const at = label.indexOf("=");
  return at < 0 ? Object.hasOwn(labels, label) : labels[label.slice(0, at)] === label.slice(at + 1);
}

/** The network that is missing; nothing when it is there. */
function nicOf(kind: string, source: string, about: Facts): string | undefined {
  switch (kind) {
    case "bridge":
    case "ovs":
      return about.bridges.has(source) ? undefined : `bridge ${source}`;
    case "network":
      return about.networks.has(source) ? undefined : `active network ${source}`;
    case "user":
    case "sriov":
      return undefined;
    default:
      // Host devices other than bridges are in no inventory; what cannot be known does not count as there.
      return about.bridges.has(source) ? undefined : `known network device ${source} (${kind || "unknown kind"})`;
  }
}

function processor(instance: Instance, from: string, here: HostCapacity, there: HostCapacity): Obstacle[] {
  const about = factsOf(there);
  const features = (needed: readonly string[]): Obstacle[] => {
    const missing = needed.filter((f) => !about.features.has(f));
    if (missing.length === 0) return [];
    return [
      {
        rule: "cpu-feature",
        phrase: `has no CPU feature ${listText(missing)}`,
        fix: `give ${instance.name} a CPU model that all hosts can run`,
      },
    ];
  };
  if (instance.cpuMode === "host-passthrough" || instance.cpuMode === "maximum") {
    if (here.cpuVendor !== there.cpuVendor || here.cpuModel !== there.cpuModel)
      return [
        {
          rule: "cpu-model",
          phrase: `has the CPU ${name(there)}, and ${instance.name} sees that of ${from} (${name(here)}) as it is`,
          fix: `give ${instance.name} a CPU model that all hosts can run`,
        },
      ];
    return features([...here.cpuFeatures, ...instance.cpuFeatures]);
  }
  const model = instance.cpuModel;
  if (model !== "" && !about.models.has(model))
    return [
      {
        rule: "cpu-model",
        phrase: `is not able to run the CPU model ${model}`,
        fix: `give ${instance.name} a CPU model that all hosts can run`,
      },
    ];
  return features(instance.cpuFeatures);
}

/**
 * May what went to `there` and sees its processor as it is come back to `here`? If not, the way was one-way: the guest has grown
 * features that the old host lacks.
 */
export function processorsAlike(here: HostCapacity, there: HostCapacity): boolean {
  const about = factsOf(here);
  return (
    here.cpuVendor === there.cpuVendor &&
    here.cpuModel === there.cpuModel &&
    there.cpuFeatures.every((f) => about.features.has(f))
  );
}

function name(host: HostCapacity): string {
  return [host.cpuVendor, host.cpuModel].filter((w) => w !== "").join(" ") || "unknown";
}

function reach(
  disk: Disk,
  instance: string,
  from: HostInventory,
  here: HostCapacity,
  to: string,
  about: Facts,
  policy: Policy,
): Obstacle | undefined {
  if (disk.source === "") return undefined;
  const own = here.pools.find((p) => p.name === disk.pool);
  if (disk.sharedAs !== "") {
    const seen = about.shared.get(disk.sharedAs);
    // Network disks are opened by the emulator itself; hosts need no pool for them.
    if (seen === undefined && disk.kind === "network") return undefined;
    const what = `${disk.pool ? `pool ${disk.pool}` : "storage"} (${disk.sharedAs}), where disk ${disk.target} of ${instance} is`;
    if (seen === undefined)
      return { rule: "storage-unreachable", phrase: `does not reach ${what}`, fix: `connect it to ${to}` };
    if (!seen.active)
      return {
        rule: "storage-unreachable",
        phrase: `has no active ${what}`,
        fix: `virsh pool-start ${seen.name} on ${to}`,
      };
    if (disk.kind !== "network" && own && own.path !== "" && seen.path !== "" && own.path !== seen.path)
      return {
        rule: "storage-path",
        phrase: `has ${what}, at ${seen.path}, not ${own.path}`,
        fix: "give the pool the same path on every host",
      };
    return undefined;
  }
  const local = `disk ${disk.target} (${disk.source})`;
  if (disk.device === "cdrom" || disk.device === "floppy")
    return {
      rule: "local-media",
      phrase: `does not reach the medium in drive ${disk.target} (${disk.source}), which only ${from.host} has`,
      fix: `eject it: virsh change-media ${instance} ${disk.target} --eject`,
    };
  if (policy !== "migrate-with-storage")
    return {
      rule: "local-disk",
      phrase: `does not reach ${local}, which only ${from.host} has`,
      fix: "move the disk to shared storage, or give it the policy migrate-with-storage",
    };
  if (disk.readonly || disk.shareable)
    return {
      rule: "local-disk",
      phrase: `does not reach ${local}, and a ${disk.readonly ? "read-only" : "shareable"} disk is not copied along`,
      fix: "move the disk to shared storage",
    };
  if (own === undefined)
    return {
      rule: "local-disk",
      phrase: `has no place for ${local}, which is in no storage pool of ${from.host}`,
      fix: "put its directory into a storage pool of the same name on both hosts",
    };
  const same = about.pools.get(disk.pool);
  if (!same?.active || same.path !== own.path)
    return {
      rule: "local-disk",
      phrase: `has no active storage pool ${disk.pool}${own.path ? ` at ${own.path}` : ""} to copy ${local} to`,
      fix: `make such a pool on ${to}`,
    };
  return undefined;
}

interface Facts {
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

function factsOf(host: HostCapacity): Facts {
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
