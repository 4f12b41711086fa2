import type { Instance } from "@slipway/shared";
import type { HostInventory } from "../domain/inventory.ts";
import type { Policy, PoolConfig } from "../domain/pool.ts";
import type { Reason } from "../domain/words.ts";
import { type Facts, factsOf, type Obstacle } from "./facts.ts";
import { failsOver } from "./failover.ts";
import { platformRules } from "./fleet-rules.ts";
import { processor } from "./processor.ts";
import { settle } from "./settle.ts";
import { reach } from "./storage.ts";
import { sentence } from "./text.ts";

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
    fix: "wake it up (virsh dompmwakeup)",
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
      fix: "take the pin away",
    });
  for (const device of instance.devices)
    out.push({
      rule: device.kind === "tpm" ? "tpm" : "passthrough-device",
      phrase: `holds ${deviceKinds[device.kind] ?? `${device.kind} device`} ${device.name} of the host`,
      fix: "detach the device",
    });
  for (const nic of instance.nics)
    if (nic.kind === "sriov" && !instance.devices.some((d) => d.name === nic.source))
      out.push({
        rule: "passthrough-device",
        phrase: `holds the SR-IOV network device ${nic.source} of the host`,
        fix: "give it a network on a bridge",
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
  const { hosts } = platformRules(instance);
  if (there.migrationUri === "" && failsOver(to.inventory.platform))
    out.push({
      rule: "platform-stopped",
      phrase: `has its ${to.inventory.platform} stopped`,
      fix: `slipway restore ${to.host}`,
    });
  else if (hosts && !hosts.includes(there.migrationUri))
    out.push({ rule: "pinned", phrase: "is not among the machines of its unit file", fix: "" });
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
