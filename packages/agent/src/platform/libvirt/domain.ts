import type { Instance } from "@slipway/shared";
import { attribute, attributes, child, children, type Element, inNamespace, kibibytes, parseXml, text } from "./xml.ts";

/**
 * Namespace of the operator's words about an instance, in the domain's `<metadata>`:
 * `<slipway:instance xmlns:slipway="https://slipway.dev/instance/1" policy="migrate" weight="10" tier="1" group="g" apart="a"
 * home="hv1" requires="ssd"/>`. Attributes become the instance's metadata as they are; what they mean is the controller's.
 */
export const METADATA = "https://slipway.dev/instance/1";

const GUEST_AGENT = "org.qemu.guest_agent.0";
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** What a definition says of an instance; what only the running host knows is not in it. */
export type Definition = Pick<
  Instance,
  | "uuid"
  | "name"
  | "vcpus"
  | "memoryMib"
  | "memoryMaxMib"
  | "hugepageKib"
  | "disks"
  | "devices"
  | "cpuMode"
  | "cpuModel"
  | "cpuFeatures"
  | "cpuDisabled"
  | "machineType"
  | "virtType"
  | "nics"
  | "guestAgent"
  | "metadata"
  | "numaNodes"
>;

/** Reads `virsh dumpxml`. Throws an Error that says what is wrong with the text. */
export function parseDomain(xml: string): Definition {
  const domain = parseXml(xml, "domain");
  const uuid = text(domain, "uuid");
  if (!UUID.test(uuid)) throw new Error("a domain without a UUID");
  const name = text(domain, "name");
  if (name === "") throw new Error(`domain ${uuid} without a name`);
  const most = mebibytes(child(domain, "memory"));
  const vcpu = child(domain, "vcpu");
  const vcpus = number(attribute(vcpu, "current")) ?? number(text(vcpu));
  if (most === undefined || vcpus === undefined) throw new Error(`domain ${uuid} without memory or processors`);
  const devices = child(domain, "devices");
  const cpu = child(domain, "cpu");
  const hasModel = children(cpu, "model").length > 0;
  return {
    uuid,
    name,
    vcpus,
    memoryMib: mebibytes(child(domain, "currentMemory")) ?? most,
    // What the guest may use without anybody plugging memory in.
    memoryMaxMib: most,
    hugepageKib: hugepage(domain),
    disks: children(devices, "disk").map(disk),
    devices: hostDevices(devices),
    cpuMode: attribute(cpu, "mode") || (hasModel ? "custom" : ""),
    cpuModel: text(cpu, "model"),
    cpuFeatures: children(cpu, "feature")
      // A feature without a policy is required.
      .filter((one) => ["require", "force", ""].includes(attribute(one, "policy")))
      .map((one) => attribute(one, "name")),
    cpuDisabled: children(cpu, "feature")
      .filter((one) => ["disable", "forbid"].includes(attribute(one, "policy")))
      .map((one) => attribute(one, "name")),
    machineType: attribute(child(domain, "os/type"), "machine"),
    virtType: attribute(domain, "type"),
    nics: children(devices, "interface").map(nic),
    guestAgent: children(devices, "channel").some((one) => {
      const target = child(one, "target");
      return attribute(target, "name") === GUEST_AGENT && attribute(target, "state") === "connected";
    }),
    metadata: metadataOf(domain),
    numaNodes: strictNodes(domain),
  };
}

/** Only the operator's words. Throws like parseDomain. */
export function parseMetadata(xml: string): Record<string, string> {
  return metadataOf(parseXml(xml, "domain"));
}

function metadataOf(domain: Element): Record<string, string> {
  const found = inNamespace(child(domain, "metadata"), METADATA, "instance");
  return found === undefined ? {} : attributes(found);
}

function disk(one: Element): Instance["disks"][number] {
  const kind = attribute(one, "type");
  const source = child(one, "source");
  return {
    target: attribute(child(one, "target"), "dev"),
    kind,
    device: attribute(one, "device") || "disk",
    source: diskSource(kind, source),
    pool: kind === "volume" ? attribute(source, "pool") : "",
    sharedAs: "",
    sizeMib: 0,
    readonly: children(one, "readonly").length > 0,
    shareable: children(one, "shareable").length > 0,
  };
}

function diskSource(kind: string, source: Element | undefined): string {
  switch (kind) {
    case "file":
      return attribute(source, "file");
    case "block":
      return attribute(source, "dev");
    case "dir":
      return attribute(source, "dir");
    case "volume":
      return attribute(source, "volume");
    case "network":
      return source === undefined ? "" : `${attribute(source, "protocol")}:${attribute(source, "name")}`;
    case "nvme":
      return source === undefined ? "" : pciAddress(child(source, "address"));
    default:
      return attribute(source, "path");
  }
}

function nic(one: Element): Instance["nics"][number] {
  const type = attribute(one, "type");
  const source = child(one, "source");
  if (type === "bridge") {
    const isOvs = attribute(child(one, "virtualport"), "type") === "openvswitch";
    return { kind: isOvs ? "ovs" : "bridge", source: attribute(source, "bridge") };
  }
  if (type === "network") return { kind: "network", source: attribute(source, "network") };
  if (type === "hostdev") return { kind: "sriov", source: pciAddress(child(source, "address")) };
  return { kind: type, source: attribute(source, "dev") };
}

/** Everything that ties the guest to a piece of this host. */
function hostDevices(devices: Element | undefined): Instance["devices"] {
  const found: { kind: string; name: string }[] = [];
  for (const one of children(devices, "hostdev")) {
    const type = attribute(one, "type");
    const source = child(one, "source");
    const address = child(source, "address");
    if (attribute(one, "mode") === "capabilities") {
      const name = text(source, "block") || text(source, "char") || text(source, "interface");
      found.push({ kind: "block", name });
    } else if (type === "pci") found.push({ kind: "pci", name: pciAddress(address) });
    else if (type === "mdev") found.push({ kind: "vgpu", name: attribute(address, "uuid") });
    else if (type === "usb") found.push({ kind: "usb", name: usbName(source, address) });
    else {
      const adapter = attribute(child(source, "adapter"), "name");
      const at = ["bus", "target", "unit"].map((part) => attribute(address, part)).join(":");
      found.push({ kind: "scsi", name: adapter === "" ? attribute(source, "wwpn") : `${adapter}:${at}` });
    }
  }
  for (const one of children(devices, "interface")) {
    const source = child(one, "source");
    if (attribute(one, "type") === "hostdev") found.push({ kind: "sriov", name: pciAddress(child(source, "address")) });
    if (attribute(one, "type") === "vdpa") found.push({ kind: "sriov", name: attribute(source, "dev") });
  }
  for (const one of children(devices, "disk"))
    if (attribute(one, "type") === "nvme") found.push({ kind: "pci", name: pciAddress(child(one, "source/address")) });
  for (const one of children(devices, "tpm")) {
    const backend = child(one, "backend");
    if (attribute(backend, "type") === "passthrough")
      found.push({ kind: "tpm", name: attribute(child(backend, "device"), "path") });
  }
  // A directory of the host seen from inside: QEMU refuses to migrate it.
  for (const one of children(devices, "filesystem")) {
    const source = child(one, "source");
    found.push({ kind: "filesystem", name: attribute(source, "dir") || attribute(source, "socket") });
  }
  return found;
}

function usbName(source: Element | undefined, address: Element | undefined): string {
  const vendor = attribute(child(source, "vendor"), "id").replace(/^0x/, "");
  const product = attribute(child(source, "product"), "id").replace(/^0x/, "");
  if (vendor !== "") return `${vendor}:${product}`;
  return `bus ${attribute(address, "bus")} device ${attribute(address, "device")}`;
}

/** "0000:3b:00.0", as lspci writes it. */
function pciAddress(address: Element | undefined): string {
  const part = (name: string, digits: number) => {
    const value = Number(attribute(address, name) || "0");
    return Number.isInteger(value) ? value.toString(16).padStart(digits, "0") : "?";
  };
  return `${part("domain", 4)}:${part("bus", 2)}:${part("slot", 2)}.${part("function", 1)}`;
}

/** Size of the huge pages behind the guest's memory in KiB; without a size the host's usual 2 MiB. */
function hugepage(domain: Element): number {
  const huge = child(domain, "memoryBacking/hugepages");
  if (huge === undefined) return 0;
  const page = child(huge, "page");
  if (page === undefined) return 2048;
  const size = attribute(page, "size");
  return kibibytes({ "#text": size, "@unit": attribute(page, "unit") }) ?? 2048;
}

function strictNodes(domain: Element): number[] {
  const memory = child(domain, "numatune/memory");
  if (attribute(memory, "mode") !== "strict") return [];
  return nodeset(attribute(memory, "nodeset"));
}

/** "0-3,^1,8" as numbers; what cannot be read is left out. */
export function nodeset(words: string): number[] {
  const nodes = new Set<number>();
  for (const word of words.split(",")) {
    const match = /^(\^?)(\d{1,4})(?:-(\d{1,4}))?$/.exec(word.trim());
    if (match === null) continue;
    const from = Number(match[2]);
    for (let node = from; node <= Number(match[3] ?? from); node++)
      if (match[1] === "^") nodes.delete(node);
      else nodes.add(node);
  }
  return [...nodes].sort((a, b) => a - b);
}

function mebibytes(element: Element | undefined): number | undefined {
  const kib = kibibytes(element);
  return kib === undefined ? undefined : Math.ceil(kib / 1024);
}

function number(digits: string): number | undefined {
  return /^\d{1,9}$/.test(digits) ? Number(digits) : undefined;
}
