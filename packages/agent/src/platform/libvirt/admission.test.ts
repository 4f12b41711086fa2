import type { Instance, Inventory } from "@slipway/shared";
import { describe, expect, test } from "vitest";
import { admissionProblems, cpuAnswer, cpuXml, Processors } from "./admission.ts";
import { FakeVirsh } from "./testing.ts";

const inventory: Inventory = {
  seq: 1,
  platform: "libvirt",
  problem: "",
  cordonedBy: "",
  instances: [],
  capacity: {
    ...{ memoryMib: 8_192, memoryFreeMib: 4_096, cpus: 4, cpuArch: "x86_64", cpuModel: "", cpuVendor: "" },
    ...{ cpuFeatures: [], cpuModels: [], networks: ["default"], bridges: ["br0"], version: "" },
    ...{ numa: [{ id: 0, memoryMib: 8_192, cpus: 4 }], hugepages: [{ sizeKib: 2_048, total: 512, free: 256 }] },
    ...{ machineTypes: ["pc-q35-7.2"], virtTypes: ["kvm"], migrationUri: "", migrationAddress: "" },
    pools: [
      { name: "default", type: "dir", path: "/images", active: true, sharedAs: "", freeMib: 100 },
      { name: "off", type: "dir", path: "/off", active: false, sharedAs: "", freeMib: 100 },
    ],
  },
};
const vm: Instance = {
  ...{ uuid: "aaaaaaaa-0000-4000-8000-000000000001", name: "vm1", state: "running", stateReason: "", job: "" },
  ...{ vcpus: 1, memoryMib: 1_024, memoryMaxMib: 1_024, hugepageKib: 0, devices: [], cpuMode: "custom" },
  ...{
    cpuModel: "Haswell",
    cpuFeatures: ["avx2"],
    cpuDisabled: [],
    machineType: "pc-q35-7.2",
    virtType: "kvm",
    autostart: false,
  },
  ...{ persistent: true, guestAgent: false, metadata: {}, generation: 0, saved: false, numaNodes: [], pinned: "" },
  nics: [{ kind: "bridge", source: "br0" }],
  startedAtMs: 0n,
  disks: [],
};
const disk = (more: Partial<Instance["disks"][number]>): Instance["disks"][number] => ({
  ...{ target: "vda", kind: "file", device: "disk", source: "/shared/a", pool: "", sharedAs: "netfs nas:/vm" },
  ...{ sizeMib: 50, readonly: false, shareable: false, ...more },
});
function problems(
  change: Partial<Instance>,
  here: readonly Instance[] = [],
  more: { promisedMib?: number; exists?: Record<string, boolean | undefined> } = {},
): string {
  return admissionProblems(
    { ...vm, ...change },
    {
      inventory: { ...inventory, instances: here },
      promisedMib: more.promisedMib ?? 0,
      promisedPages: new Map([[2_048, 128]]),
      exists: new Map(Object.entries(more.exists ?? {})),
    },
  ).join("\n");
}

describe("admission", () => {
  test("has room for what fits, and for what has left a stopped definition here", () => {
    expect(problems({})).toBe("");
    expect(problems({}, [{ ...vm, state: "shutoff" }])).toBe("");
  });
  test("refuses what is here already, or saved here, or has another's name", () => {
    expect(problems({}, [{ ...vm, state: "paused" }])).toBe("it is paused here already");
    expect(problems({}, [{ ...vm, state: "shutoff", saved: true }])).toMatch(/memory of it is saved here/);
    expect(problems({}, [{ ...vm, uuid: "other" }])).toBe("another instance here has the name vm1 (other)");
  });
  test("refuses what this emulator or this network is not made for", () => {
    expect(problems({ virtType: "qemu" })).toMatch(/no qemu guests/);
    expect(problems({ machineType: "pc-q35-9.9" })).toMatch(/machine type pc-q35-9.9/);
    expect(problems({ nics: [{ kind: "ovs", source: "br9" }] })).toMatch(/no bridge br9/);
    expect(problems({ nics: [{ kind: "network", source: "lan" }] })).toMatch(/network lan is not active/);
    expect(problems({ nics: [{ kind: "user", source: "" }] })).toBe("");
  });
  test("counts memory that is free, less what is promised", () => {
    expect(problems({ memoryMib: 4_096 })).toBe("");
    expect(problems({ memoryMib: 4_096 }, [], { promisedMib: 1 })).toMatch(/4095 MiB of memory are free here/);
    const huge = { hugepageKib: 2_048, memoryMib: 100_000 };
    expect(problems({ ...huge, memoryMaxMib: 256 })).toBe("");
    expect(problems({ ...huge, memoryMaxMib: 258 })).toBe("128 huge pages of 2048 KiB are left here, it needs 129");
    expect(problems({ hugepageKib: 1_048_576 })).toMatch(/0 huge pages of 1048576 KiB/);
    expect(problems({ numaNodes: [0, 1] })).toBe("there is no NUMA node 1 with memory here");
  });
  test("asks for each disk whether it is there, and has room where it is to be copied to", () => {
    const exists = { "/shared/a": true, "/shared/b": false, "/images/c": false };
    const with_ = (more: Parameters<typeof disk>[0]) => problems({ disks: [disk(more)] }, [], { exists });
    expect(with_({})).toBe("");
    expect(with_({ source: "/shared/b" })).toBe("disk vda of vm1 is not there: /shared/b");
    expect(with_({ source: "/dead/a" })).toMatch(/storage of \/dead\/a does not answer/);
    expect(with_({ source: "/images/c", sharedAs: "" })).toBe("");
    expect(with_({ source: "/images/c", sharedAs: "", sizeMib: 101 })).toMatch(/needs 101 MiB, pool default has 100/);
    expect(with_({ source: "/shared/b", sharedAs: "" })).toMatch(/no active pool at \/shared/);
    expect(with_({ source: "/shared/b", sharedAs: "", device: "cdrom" })).toMatch(/is not there/);
    expect(with_({ source: "" })).toBe("");
    expect(with_({ kind: "network", source: "rbd:a/b" })).toBe("");
    expect(with_({ kind: "volume", pool: "off", source: "v" })).toMatch(/pool off, which is not active/);
  });
  test("knows nothing while libvirt cannot be read", () => {
    const facts = { promisedMib: 0, promisedPages: new Map<number, number>(), exists: new Map<string, boolean>() };
    const down = { ...inventory, problem: "libvirt: failed to connect" };
    expect(admissionProblems(vm, { ...facts, inventory: down })).toEqual(["libvirt: failed to connect"]);
  });
});

describe("processors", () => {
  test("are described by the emulator's words only", () => {
    expect(cpuXml(vm)).toBe(
      "<cpu mode='custom' match='exact'><model>Haswell</model><feature policy='require' name='avx2'/></cpu>",
    );
    // As a guest with host-model runs on a host whose microcode has taken TSX away.
    expect(cpuXml({ ...vm, cpuDisabled: ["hle", "rtm"] })).toBe(
      "<cpu mode='custom' match='exact'><model>Haswell</model><feature policy='require' name='avx2'/><feature policy='disable' name='hle'/><feature policy='disable' name='rtm'/></cpu>",
    );
    expect(cpuXml({ ...vm, cpuDisabled: ["a'/><x"] })).toBeUndefined();
    expect(cpuXml({ cpuModel: "", cpuFeatures: [], cpuDisabled: [] })).toBeUndefined();
    expect(cpuXml({ cpuModel: "a'/><x", cpuFeatures: [], cpuDisabled: [] })).toBeUndefined();
  });
  test("are asked about once for guests that see the same, for a minute, and again where there was a problem", async () => {
    let nowMs = 0;
    const virsh = new FakeVirsh({});
    const processors = new Processors(virsh, () => nowMs);
    const asked = "hypervisor-cpu-compare --error --virttype kvm --machine pc-q35-7.2 --arch x86_64 /dev/stdin";
    const guest = { ...vm, virtType: "kvm", machineType: "pc-q35-7.2" };
    expect(await processors.problem(guest, "x86_64")).toMatch(/is not known/);
    virsh.script = { [asked]: "CPU described in /dev/stdin is identical to the CPU provided by hypervisor" };
    expect(await processors.problem(guest, "x86_64")).toBeUndefined();
    expect(await processors.problem({ ...guest, uuid: "b", name: "b" }, "x86_64")).toBeUndefined();
    expect(virsh.calls).toEqual([asked, asked]);
    expect(await processors.problem({ ...guest, cpuFeatures: ["amx"] }, "x86_64")).toBeUndefined();
    nowMs = 60_001;
    expect(await processors.problem(guest, "x86_64")).toBeUndefined();
    expect(virsh.calls).toHaveLength(4);
  });
  test("fit, lack something, or it is not known", () => {
    const answer = (state: "ok" | "failed", stdout: string, text = "") => cpuAnswer({ state, stdout, text }, "Haswell");
    const fits = "The CPU provided by hypervisor on the host is a superset of CPU described in /dev/stdin\n";
    expect(answer("ok", fits)).toBeUndefined();
    expect(answer("ok", "CPU described in /dev/stdin is identical to the CPU provided by hypervisor")).toBeUndefined();
    const lacks =
      "Failed to compare hypervisor CPU with /dev/stdin; the CPU is incompatible with host CPU: Host CPU does not provide required features: pni, svm";
    expect(answer("failed", "", lacks)).toBe("the processor here lacks pni, svm of the CPU model Haswell");
    expect(answer("ok", "Der Prozessor passt")).toMatch(/is not known/);
    expect(answer("failed", "", "Unknown CPU model nonsense")).toMatch(/is not known: Unknown CPU model/);
  });
});
