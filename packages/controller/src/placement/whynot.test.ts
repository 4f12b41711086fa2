import type { HostCapacity, Instance } from "@slipway/shared";
import { describe, expect, test } from "vitest";
import { capacity, disk, host, instance, localDisk, poolOf } from "../testing/instances.ts";
import { settle, whyNot } from "./index.ts";

interface Case {
  readonly vm?: Partial<Instance>;
  readonly from?: Partial<HostCapacity>;
  readonly to?: Partial<HostCapacity>;
  readonly labels?: Record<string, string>;
}

function reasons({ vm = {}, from = {}, to = {}, labels = {} }: Case): string[] {
  const guest = instance("vm1", vm);
  const pool = poolOf();
  return whyNot(
    guest,
    host("hv1", [guest], from),
    host("hv2", [], to, { labels }),
    pool,
    settle(guest, pool).policy,
  ).map((r) => `${r.rule}: ${r.text}`);
}

const withStorage = { metadata: { policy: "migrate-with-storage" } };
const noPools = { pools: [] };
const nfs = { name: "shared", type: "netfs", path: "/vm", active: true, sharedAs: "netfs nas:/vm", freeMib: 1 };

describe("an instance can live on another host", () => {
  test.each<[string, Case]>([
    ["that is like its own", { vm: { disks: [disk("vda")] } }],
    ["when it is paused", { vm: { state: "paused" } }],
    [
      "with its disk on the network, without a pool",
      { vm: { disks: [disk("vda", { kind: "network", pool: "", sharedAs: "rbd ceph" })] } },
    ],
    ["with an empty drive", { vm: { disks: [localDisk("sda", { device: "cdrom", source: "" })] } }],
    ["with a medium on shared storage", { vm: { disks: [disk("sda", { device: "cdrom", readonly: true })] } }],
    ["with its local disk copied along", { vm: { ...withStorage, disks: [localDisk("vda")] } }],
    ["with the processor as it is, on the same processor", { vm: { cpuMode: "host-passthrough" } }],
    [
      "with the processor as it is, on one with more features",
      { vm: { cpuMode: "host-passthrough" }, to: { cpuFeatures: ["avx", "avx2", "new"] } },
    ],
    [
      "with the features that its host has, when its CPU model is listed on neither",
      { vm: { virtType: "kvm", cpuModel: "Icelake", cpuDisabled: ["hle"] } },
    ],
    [
      "with a label that it requires",
      { vm: { metadata: { requires: "ssd, rack=r1" } }, labels: { ssd: "", rack: "r1" } },
    ],
    ["with a network of the emulator's own", { vm: { nics: [{ kind: "user", source: "" }] } }],
    [
      "with huge pages of the same size there",
      { vm: { hugepageKib: 2048 }, to: { hugepages: [{ sizeKib: 2048, total: 10, free: 10 }] } },
    ],
    [
      "bound to a NUMA node that is there",
      { vm: { numaNodes: [0] }, to: { numa: [{ id: 0, memoryMib: 1000, cpus: 4 }] } },
    ],
  ])("%s", (_name, c) => {
    expect(reasons(c)).toEqual([]);
  });
});

describe("an instance is tied to its host", () => {
  test.each<[Partial<Instance>, string]>([
    [
      { devices: [{ kind: "pci", name: "0000:3b:00.0" }] },
      "passthrough-device: vm1 cannot leave hv1: it holds PCI device 0000:3b:00.0 of the host",
    ],
    [
      { devices: [{ kind: "vgpu", name: "mdev1" }] },
      "passthrough-device: vm1 cannot leave hv1: it holds virtual GPU mdev1 of the host",
    ],
    [
      { devices: [{ kind: "tpm", name: "/dev/tpm0" }] },
      "tpm: vm1 cannot leave hv1: it holds TPM /dev/tpm0 of the host",
    ],
    [
      { nics: [{ kind: "sriov", source: "eth0vf1" }] },
      "passthrough-device: vm1 cannot leave hv1: it holds the SR-IOV network device eth0vf1 of the host",
    ],
    [
      { pinned: "MachineMetadata=name=w1" },
      "pinned: vm1 cannot leave hv1: it is pinned to it by its platform (MachineMetadata=name=w1)",
    ],
    [{ state: "suspended" }, "instance-state: vm1 cannot leave hv1: it is suspended, asleep by its own wish"],
    [{ state: "crashed" }, "instance-state: vm1 cannot leave hv1: it is crashed"],
    [{ state: "incoming" }, "instance-state: vm1 cannot leave hv1: it is just arriving by a migration"],
    [{ state: "unknown" }, 'instance-state: vm1 cannot leave hv1: it is in a state that is not known ("unknown")'],
    [
      { metadata: { policy: "migrat" } },
      'instance-metadata: vm1: its metadata says policy "migrat", which is not known',
    ],
  ])("%j", (vm, reason) => {
    expect(reasons({ vm })).toEqual([reason]);
  });
});

describe("an instance cannot live on a host", () => {
  test.each<[string, Case, string]>([
    [
      "without its disk",
      { vm: { disks: [localDisk("vda")] } },
      "local-disk: does not reach disk vda (/var/lib/vm/vda.qcow2), which only hv1 has",
    ],
    [
      "without the pool that the disk would be copied to",
      { vm: { ...withStorage, disks: [localDisk("vda")] }, to: noPools },
      "local-disk: has no active storage pool local at /var/lib/vm to copy disk vda (/var/lib/vm/vda.qcow2) to",
    ],
    [
      "when a disk is copied that is in no pool",
      { vm: { ...withStorage, disks: [localDisk("vda", { pool: "" })] } },
      "local-disk: has no place for disk vda (/var/lib/vm/vda.qcow2), which is in no storage pool of hv1",
    ],
    [
      "when a read-only disk would have to be copied",
      { vm: { ...withStorage, disks: [localDisk("vdb", { readonly: true })] } },
      "local-disk: does not reach disk vdb (/var/lib/vm/vdb.qcow2), and a read-only disk is not copied along",
    ],
    [
      "without the medium in its drive, whatever the policy",
      { vm: { ...withStorage, disks: [localDisk("sda", { device: "cdrom", source: "/iso/a.iso" })] } },
      "local-media: does not reach the medium in drive sda (/iso/a.iso), which only hv1 has",
    ],
    [
      "that does not reach the storage",
      { vm: { disks: [disk("vda")] }, to: noPools },
      "storage-unreachable: does not reach pool shared (netfs nas:/vm), where disk vda of vm1 is",
    ],
    [
      "whose view of the storage is not active",
      { vm: { disks: [disk("vda")] }, to: { pools: [{ ...nfs, active: false }] } },
      "storage-unreachable: has no active pool shared (netfs nas:/vm), where disk vda of vm1 is",
    ],
    [
      "that has the storage somewhere else",
      { vm: { disks: [disk("vda")] }, to: { pools: [{ ...nfs, path: "/mnt" }] } },
      "storage-path: has pool shared (netfs nas:/vm), where disk vda of vm1 is, at /mnt, not /vm",
    ],
    ["without its bridge", { vm: { nics: [{ kind: "bridge", source: "br9" }] } }, "network: has no bridge br9"],
    [
      "without its network",
      { vm: { nics: [{ kind: "network", source: "lab" }] } },
      "network: has no active network lab",
    ],
    [
      "of whose devices nothing is known",
      { vm: { nics: [{ kind: "direct", source: "eno1" }] } },
      "network: has no known network device eno1 (direct)",
    ],
    ["without its CPU model", { vm: { cpuModel: "Icelake" } }, "cpu-model: is not able to run the CPU model Icelake"],
    [
      "without its CPU model less some features, and with a lesser processor",
      { vm: { virtType: "kvm", cpuModel: "Icelake", cpuDisabled: ["hle"] }, to: { cpuFeatures: ["avx"] } },
      "cpu-model: is not able to run the CPU model Icelake",
    ],
    [
      "without its CPU model less some features, of an emulated processor",
      {
        vm: { virtType: "qemu", cpuModel: "Icelake", cpuDisabled: ["hle"] },
        from: { virtTypes: ["qemu"] },
        to: { virtTypes: ["qemu"] },
      },
      "cpu-model: is not able to run the CPU model Icelake",
    ],
    [
      "without a CPU feature that it has",
      { vm: { cpuMode: "host-model", cpuModel: "Haswell", cpuFeatures: ["avx", "avx512f"] } },
      "cpu-feature: has no CPU feature avx512f",
    ],
    [
      "with another processor, when it sees the processor as it is",
      { vm: { cpuMode: "host-passthrough" }, to: { cpuModel: "EPYC", cpuVendor: "AMD" } },
      "cpu-model: has the CPU AMD EPYC, and vm1 sees that of hv1 (Intel Skylake-Server) as it is",
    ],
    [
      "with fewer features, when it sees the processor as it is",
      { vm: { cpuMode: "maximum" }, to: { cpuFeatures: ["avx"] } },
      "cpu-feature: has no CPU feature avx2",
    ],
    ["without its machine type", { to: { machineTypes: ["q35"] } }, "machine-type: has no machine type pc-i440fx-7.2"],
    ["without its kind of virtualisation", { to: { virtTypes: ["qemu"] } }, "virt-type: has no kvm for guests"],
    ["of another architecture", { to: { cpuArch: "aarch64" } }, "architecture: is aarch64, not x86_64"],
    [
      "with huge pages of another size",
      { vm: { hugepageKib: 2048 }, to: { hugepages: [{ sizeKib: 1_048_576, total: 4, free: 4 }] } },
      "hugepages: has no huge pages of 2048 KiB",
    ],
    [
      "without the NUMA node that it is bound to",
      { vm: { numaNodes: [0, 1] }, to: { numa: [{ id: 0, memoryMib: 1000, cpus: 4 }] } },
      "numa: has no NUMA node 1, which the memory is bound to strictly",
    ],
    ["without a label", { vm: { metadata: { requires: "ssd" } } }, "label: has no label ssd, which vm1 requires"],
    [
      "with another value of a label",
      { vm: { metadata: { requires: "rack=r1" } }, labels: { rack: "r2" } },
      "label: has no label rack=r1, which vm1 requires",
    ],
  ])("%s", (_name, c, reason) => {
    const [rule, text] = reason.split(/: (.*)/s);
    expect(reasons(c)).toEqual([`${rule}: vm1 cannot run on hv2: hv2 ${text}`]);
  });

  test("that has told nothing, or has another platform", () => {
    const vm = instance("vm1");
    const ask = (to: ReturnType<typeof host>) =>
      whyNot(vm, host("hv1", [vm]), to, poolOf(), "migrate").map((r) => r.rule);
    expect(ask(host("hv2", [], {}, { inventory: { capacity: undefined } }))).toEqual(["no-capacity"]);
    expect(ask(host("hv2", [], {}, { inventory: { platform: "none" } }))).toEqual(["platform"]);
  });

  test("for every reason at once, each with its way out where there is one", () => {
    const vm = instance("vm1", { disks: [localDisk("vda")], nics: [{ kind: "bridge", source: "br9" }] });
    const found = whyNot(vm, host("hv1", [vm]), host("hv2"), poolOf(), "migrate");
    expect(found.map((r) => [r.rule, r.subject, r.fix])).toEqual([
      ["network", "vm1", "set it up on hv2"],
      ["local-disk", "vm1", "move the disk to shared storage, or give it the policy migrate-with-storage"],
    ]);
  });
});

describe("what holds for an instance", () => {
  const pool = poolOf({}, [
    { match: "db*", policy: "shutdown-restart", weight: 7, tier: -1, apart: "db", home: "hv3", requires: ["ssd"] },
    { match: "*", weight: 5 },
  ]);

  test("is what the first rule says whose pattern fits its name", () => {
    expect(settle(instance("db1"), pool)).toMatchObject({
      policy: "shutdown-restart",
      weight: 7,
      tier: -1,
      apart: "db",
      group: "",
      home: "hv3",
      requires: ["ssd"],
      problem: undefined,
    });
    expect(settle(instance("web.db"), pool)).toMatchObject({ policy: "migrate", weight: 5, tier: 0, requires: [] });
  });

  test("is what its own metadata says before that, word by word", () => {
    const metadata = { policy: "leave", weight: "9", requires: "a, b=c" };
    expect(settle(instance("db1", { metadata }), pool)).toMatchObject({
      policy: "leave",
      weight: 9,
      tier: -1,
      apart: "db",
      requires: ["a", "b=c"],
    });
  });

  test("is by default that it is migrated and weighs its memory", () => {
    expect(settle(instance("x", { memoryMib: 512, memoryMaxMib: 2048 }), poolOf())).toMatchObject({
      policy: "migrate",
      weight: 2048,
      tier: 0,
      home: "",
    });
  });

  test("takes characters of a pattern other than * as they are", () => {
    const odd = poolOf({}, [{ match: "vm.1+(x)", tier: 3 }]);
    expect(settle(instance("vm.1+(x)"), odd).tier).toBe(3);
    expect(settle(instance("vm11+(x)"), odd).tier).toBe(0);
  });

  test.each([
    [{ policy: "migrat" }, 'policy "migrat"', "did you mean migrate?"],
    [{ policy: "toString" }, 'policy "toString"', /^choose one of migrate, /],
    [{ weight: "heavy" }, 'weight "heavy"', "give a number, 0 or more"],
    [{ tier: "1.5" }, 'tier "1.5"', "give a whole number"],
  ])("is not guessed: %j", (metadata, what, fix) => {
    const { problem } = settle(instance("vm1", { metadata }), poolOf());
    expect(problem?.text).toBe(`vm1: its metadata says ${what}, which is not known`);
    expect(problem?.fix).toMatch(fix);
  });
});

test("the builders make hosts that differ in nothing but their names", () => {
  expect({ ...capacity("a"), migrationUri: "" }).toEqual({ ...capacity("b"), migrationUri: "" });
});
