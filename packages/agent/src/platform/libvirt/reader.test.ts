import { describe, expect, test } from "vitest";
import { parseSizes, Reader } from "./reader.ts";
import { FakeVirsh, fakeLocal, fixture, type Script } from "./testing.ts";

const G1 = "aaaaaaaa-0000-4000-8000-000000000001";
const ODD = "aaaaaaaa-0000-4000-8000-000000000002";
const POOL = "592606ea-3908-4ffa-837a-be0cb0b4d949";

const healthy: Script = {
  "list --all --uuid": `${G1}\n${ODD}\n\n`,
  "list --all --uuid --autostart": `${G1}\n`,
  "list --all --uuid --persistent": `${G1}\n${ODD}\n`,
  "list --all --uuid --with-managed-save": `${ODD}\n`,
  capabilities: fixture("capabilities.xml"),
  version: fixture("version.txt"),
  "pool-list --all --uuid": `${POOL}\n`,
  "pool-list --uuid": `${POOL}\n`,
  "net-list --name": "default\nwith space\n\n",
  [`pool-dumpxml ${POOL}`]: fixture("pool-default.xml"),
  "domcapabilities --virttype kvm": fixture("domcapabilities.xml"),
  "hypervisor-cpu-baseline --features --virttype kvm /dev/stdin": fixture("baseline-kvm.xml"),
  [`dumpxml ${G1}`]: fixture("g1-live.xml"),
  [`dumpxml --inactive ${G1}`]: fixture("g1-inactive.xml").replace('policy="migrate"', 'policy="managed-save"'),
  [`domstats --state --raw --nowait ${G1}`]: "Domain: 'g1'\n  state.state=1\n  state.reason=1\n",
  [`domjobinfo --rawstats ${G1}`]: "Job type: 0\n\n",
  [`domblkinfo --all ${G1}`]: " Target Capacity Allocation Physical\n vda 8388608 200704 196616\n sda - - -\n",
  [`dumpxml ${ODD}`]: fixture("odd.xml"),
  [`dumpxml --inactive ${ODD}`]: fixture("odd.xml"),
  [`domstats --state --raw --nowait ${ODD}`]: "Domain: 'odd'\n  state.state=5\n  state.reason=5\n",
};

function reader(virsh: FakeVirsh): Reader {
  return new Reader({
    virsh,
    local: fakeLocal,
    reserveMib: 1_000,
    sharedPaths: [{ path: "/dev/mapper", name: "san" }],
    migrationUri: "qemu+tls://hv1/system",
    migrationAddress: "",
  });
}

describe("a reading", () => {
  test("holds the host and its instances", async () => {
    const { problem, capacity, instances } = await reader(new FakeVirsh(healthy)).read();
    expect(problem).toBe("");
    expect(capacity).toMatchObject({
      memoryMib: 23_000,
      memoryFreeMib: 20_000,
      cpus: 2,
      cpuArch: "x86_64",
      cpuVendor: "AMD",
      numa: [{ id: 0, memoryMib: 24_105, cpus: 2 }],
      hugepages: [{ sizeKib: 2048, total: 512, free: 512 }],
      bridges: ["br0"],
      networks: ["default", "with space"],
      virtTypes: ["qemu", "kvm"],
      version: "libvirt 9.0.0, QEMU 7.2.22",
      migrationUri: "qemu+tls://hv1/system",
    });
    expect(capacity?.machineTypes).toEqual(expect.arrayContaining(["pc", "q35", "pc-i440fx-7.2", "pc-q35-7.2"]));
    expect(capacity?.cpuFeatures).toEqual(expect.arrayContaining(["vme", "x2apic", "clwb"]));
    expect(capacity?.cpuModels).toEqual(expect.arrayContaining(["pentium3", "pentium2"]));
    expect(capacity?.pools).toEqual([
      expect.objectContaining({
        name: "default",
        type: "dir",
        path: "/var/lib/libvirt/images",
        active: true,
        sharedAs: "",
      }),
      {
        name: "/dev/mapper",
        type: "mount",
        path: "/dev/mapper",
        active: true,
        freeMib: 0,
        sharedAs: "shared san",
      },
    ]);
    const [g1, odd] = instances;
    expect(g1).toMatchObject({
      name: "g1",
      state: "running",
      stateReason: "booted",
      job: "",
      autostart: true,
      persistent: true,
      saved: false,
      metadata: { policy: "managed-save", weight: "10" },
      disks: [{ target: "vda", pool: "default", sizeMib: 8, sharedAs: "" }, { target: "sda" }],
      startedAtMs: 1_700_000_000_000n,
      generation: 0,
    });
    expect(odd).toMatchObject({
      state: "shutoff",
      job: "",
      saved: true,
      autostart: false,
      disks: [{ sharedAs: "network rbd:vms/odd" }, { sharedAs: "shared san" }, { pool: "default", sharedAs: "" }],
      startedAtMs: 0n,
    });
  });

  const problems: readonly (readonly [string, Script, RegExp])[] = [
    ["libvirtd is down", { "list --all --uuid": { state: "failed", text: "failed to connect" } }, /failed to connect/],
    ["it hangs", { "list --all --uuid": { state: "timed-out", text: "no answer" } }, /no answer/],
    ["virsh is missing", { capabilities: { state: "missing", text: "virsh is not installed" } }, /not installed/],
    ["the list is no list", { "list --all --uuid": "Id Name State\n" }, /something else than UUIDs/],
    ["capabilities are cut off", { capabilities: fixture("capabilities.xml").slice(0, 500) }, /capabilities: XML/],
    ["domain capabilities are foreign", { "domcapabilities --virttype kvm": "<fantaisie/>" }, /domcapabilities/],
  ];
  test.each(problems)("is a problem and no empty list when %s", async (_name, change, problem) => {
    const reading = await reader(new FakeVirsh({ ...healthy, ...change })).read();
    expect(reading.problem).toMatch(problem);
    expect(reading.instances).toEqual([]);
    expect(reading.capacity).toBeUndefined();
  });

  test("is a problem when the connection breaks in its middle", async () => {
    const virsh = new FakeVirsh({ ...healthy, [`dumpxml ${G1}`]: { state: "failed", text: "connection closed" } });
    const run = virsh.run.bind(virsh);
    let lists = 0;
    virsh.run = (args) =>
      args.join(" ") === "list --all --uuid" && lists++ > 0
        ? Promise.resolve({ state: "failed", stdout: "", text: "failed to connect" })
        : run(args);
    expect((await reader(virsh).read()).problem).toMatch(/failed to connect/);
  });

  test("keeps an instance whose definition cannot be read, as unknown", async () => {
    for (const text of ["", "<domain><name>g1</name>", "Fehler"]) {
      const { problem, instances } = await reader(new FakeVirsh({ ...healthy, [`dumpxml ${G1}`]: text })).read();
      expect(problem).toBe("");
      expect(instances[0]).toMatchObject({ uuid: G1, name: G1, state: "unknown", job: "unknown", autostart: true });
    }
  });

  test("leaves out an instance that went away while it was read", async () => {
    const virsh = new FakeVirsh({ ...healthy, [`dumpxml ${G1}`]: { state: "failed", text: "failed to get domain" } });
    const run = virsh.run.bind(virsh);
    let lists = 0;
    virsh.run = (args) =>
      args.join(" ") === "list --all --uuid" && lists++ > 0
        ? Promise.resolve({ state: "ok", stdout: `${ODD}\n`, text: "" })
        : run(args);
    const { problem, instances } = await reader(virsh).read();
    expect(problem).toBe("");
    expect(instances.map((one) => one.uuid)).toEqual([ODD]);
  });

  test("tells a guest that arrives from one that stands still", async () => {
    const paused = { [`domstats --state --raw --nowait ${G1}`]: "  state.state=3\n  state.reason=2\n" };
    const arriving = {
      [`domjobinfo --rawstats ${G1}`]: {
        state: "failed",
        text: "Operation not supported: migration statistics are available only on the source host",
      },
    } as const;
    const look = async (change: Script) =>
      (await reader(new FakeVirsh({ ...healthy, ...paused, ...change })).read()).instances[0];
    expect(await look(arriving)).toMatchObject({ state: "incoming", job: "migrating-in" });
    expect(await look({ [`domjobinfo --rawstats ${G1}`]: fixture("job-migrating-out.txt") })).toMatchObject({
      state: "paused",
      job: "migrating-out",
    });
    expect(await look({ [`domjobinfo --rawstats ${G1}`]: "" })).toMatchObject({ state: "paused", job: "unknown" });
  });

  test("asks for models and sizes once, and for the rest each time", async () => {
    const virsh = new FakeVirsh(healthy);
    const one = reader(virsh);
    await one.read();
    virsh.calls.length = 0;
    await one.read();
    expect(virsh.calls).toContain(`dumpxml ${G1}`);
    expect(virsh.calls.filter((call) => /domcapabilities|domblkinfo/.test(call))).toEqual([]);
  });
});

test("sizes of disks", () => {
  expect([...parseSizes(" Target Capacity Allocation Physical\n----\n vda 1048577 1 1\n sda - - -\nGröße?\n")]).toEqual(
    [["vda", 2]],
  );
});
