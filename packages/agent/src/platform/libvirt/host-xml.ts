import type { HostCapacity } from "@slipway/shared";
import { attribute, child, children, type Element, kibibytes, parseXml, text } from "./xml.ts";

export type Capabilities = Pick<
  HostCapacity,
  "cpus" | "cpuArch" | "cpuModel" | "cpuVendor" | "numa" | "machineTypes" | "virtTypes"
> & {
  /** Of the host as a whole, in MiB; what huge pages take is part of it. */
  readonly memoryMib: number;
};

/** Reads `virsh capabilities`. Throws an Error that says what is wrong with the text. */
export function parseCapabilities(xml: string): Capabilities {
  const root = parseXml(xml, "capabilities");
  const cpu = child(root, "host/cpu");
  const arch = text(cpu, "arch");
  const numa = children(child(root, "host/topology/cells"), "cell").map((cell) => ({
    id: Number(attribute(cell, "id")),
    memoryMib: Math.floor((kibibytes(child(cell, "memory")) ?? 0) / 1024),
    cpus: children(child(cell, "cpus"), "cpu").length,
  }));
  // An emulated foreign processor is no way to move a guest.
  const guests = children(root, "guest").flatMap((guest) =>
    text(guest, "os_type") === "hvm" ? children(guest, "arch").filter((one) => attribute(one, "name") === arch) : [],
  );
  const machines = guests.flatMap((guest) => [
    ...children(guest, "machine"),
    ...children(guest, "domain").flatMap((domain) => children(domain, "machine")),
  ]);
  const machineTypes = machines.map((machine) => text(machine)).filter((name) => name !== "");
  const virtTypes = guests.flatMap((guest) => children(guest, "domain").map((domain) => attribute(domain, "type")));
  return {
    cpus: numa.reduce((sum, node) => sum + node.cpus, 0),
    cpuArch: arch,
    cpuModel: text(cpu, "model"),
    cpuVendor: text(cpu, "vendor"),
    numa,
    machineTypes: unique(machineTypes),
    virtTypes: unique(virtTypes),
    memoryMib: numa.reduce((sum, node) => sum + node.memoryMib, 0),
  };
}

export interface DomainCapabilities {
  /** Models of which libvirt says that this host can run them. */
  readonly models: readonly string[];
  /** The host's own model and what goes beyond it; guests can be given the whole of it. */
  readonly features: readonly string[];
}

/** Reads `virsh domcapabilities`. Throws like parseCapabilities. */
export function parseDomainCapabilities(xml: string): DomainCapabilities {
  const modes = children(child(parseXml(xml, "domainCapabilities"), "cpu"), "mode");
  const mode = (name: string) =>
    modes.find((one) => attribute(one, "name") === name && attribute(one, "supported") === "yes");
  return {
    models: children(mode("custom"), "model")
      .filter((one) => attribute(one, "usable") === "yes")
      .map((one) => text(one)),
    features: required(mode("host-model")),
  };
}

/** Reads `virsh hypervisor-cpu-baseline --features`: every feature, those of the model included. Throws like parseCapabilities. */
export function parseBaseline(xml: string): string[] {
  return required(parseXml(xml, "cpu"));
}

function required(cpu: Element | undefined): string[] {
  return children(cpu, "feature")
    .filter((one) => attribute(one, "policy") === "require")
    .map((one) => attribute(one, "name"));
}

export interface Pool {
  readonly name: string;
  readonly type: string;
  /** Where its volumes appear on this host; empty for those that appear nowhere. */
  readonly path: string;
  readonly freeMib: number;
  /** What a pool of a network is a view of, the same on every host; empty for pools of a directory, a disk or a volume group. */
  readonly identity: string;
}

/** Reads `virsh pool-dumpxml`. Throws like parseCapabilities. */
export function parsePool(xml: string): Pool {
  const pool = parseXml(xml, "pool");
  const type = attribute(pool, "type");
  const source = child(pool, "source");
  const path = text(pool, "target/path");
  return {
    name: text(pool, "name"),
    type,
    path,
    freeMib: Math.floor((kibibytes(child(pool, "available")) ?? 0) / 1024),
    identity: identity(type, source),
  };
}

function identity(type: string, source: Element | undefined): string {
  // Order and repetition of a cluster's addresses say nothing.
  const hosts = unique(
    children(source, "host").map((host) => {
      const port = attribute(host, "port");
      return port === "" ? attribute(host, "name") : `${attribute(host, "name")}:${port}`;
    }),
  ).sort();
  const at = hosts.join(",");
  const name = text(source, "name");
  switch (type) {
    case "netfs": {
      const dir = attribute(child(source, "dir"), "path");
      const isGluster = attribute(child(source, "format"), "type") === "glusterfs";
      return at === "" || dir === "" ? "" : `${isGluster ? "gluster" : "netfs"} ${at}:${dir}`;
    }
    case "rbd":
    case "gluster":
    case "sheepdog":
      return name === "" ? "" : `${type} ${at === "" ? "" : `${at}/`}${name}`;
    case "iscsi":
    case "iscsi-direct": {
      const target = attribute(children(source, "device")[0], "path");
      return target === "" ? "" : `iscsi ${at}/${target}`;
    }
    default:
      return "";
  }
}

function unique<T>(list: readonly T[]): T[] {
  return [...new Set(list)];
}
