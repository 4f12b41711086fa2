import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAuthority } from "../../packages/shared/src/tls/authority.ts";
import { unable, until } from "./kit.ts";
import { labsWithGroups } from "./lib/cgroups.ts";
import { etcdIsHealthy } from "./lib/etcd.ts";
import { startGluster } from "./lib/gluster.ts";
import { guestKernel } from "./lib/guest-kernel.ts";
import { assertRanOn, counter, counts, createGuest, domainsOf, type Guest } from "./lib/guests.ts";
import { Lab } from "./lib/lab.ts";
import { startHypervisors } from "./lib/libvirt.ts";
import { checkout } from "./lib/packages.ts";
import type { Features } from "./lib/protocol.ts";
import { labs } from "./lib/registry.ts";
import { run } from "./lib/system.ts";

// The lab's hypervisors themselves: guests, their moves and their ends; clusters that outlive a reboot. Without Slipway.

/** Another run of the tests on the same machine has labs and guests of its own. */
const own = (name: string) => `${name}-${process.pid}`;

function boot(name: string, hosts: readonly string[], features: Features): Promise<Lab> {
  const settings = {
    ...{ name: own(name), hosts, checkout, packages: [], binds: [], firmwareMs: 100, diskMiB: 256 },
    ...{ features, hypervisors: hosts, ...(features.libvirt ? { kernel: guestKernel(() => {}) } : {}) },
  };
  return Lab.boot({ settings, dieWithParent: true });
}

/** What is left of a lab on the machine: every process of it or its guests says a name that is its own. */
function leftOf(name: string, guests: readonly Guest[]): string[] {
  const names = [`"name":"${name}"`, ...guests.map((guest) => `guest=${guest.name}`)];
  const processes = readdirSync("/proc").filter((entry) => {
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, "utf8");
      return /^\d+$/.test(entry) && names.some((one) => words.includes(one));
    } catch {
      return false;
    }
  });
  const left = processes.map((pid) => `process ${pid}`);
  if (/slipway-shared|\/run\/lab/.test(readFileSync("/proc/self/mounts", "utf8"))) left.push("a mount");
  if (/lab0|vb-/.test(run("ip", ["-br", "link"]))) left.push("a link");
  if (labsWithGroups().includes(name)) left.push("control groups");
  if (labs().includes(name)) left.push("its directory");
  return left;
}

const hypervisors = { libvirt: true } as const;
describe.skipIf(unable(hypervisors) !== undefined)("hypervisors of a lab", () => {
  let lab: Lab;
  let mover: Guest;
  let stayer: Guest;
  beforeAll(async () => {
    lab = await boot("hyper", ["hv1", "hv2"], hypervisors);
    await startHypervisors(lab, ["hv1", "hv2"], await createAuthority("Lab CA"));
    [mover, stayer] = await Promise.all([
      createGuest(lab, "hv1", own("mover"), { disk: "shared" }),
      createGuest(lab, "hv1", own("stayer"), { disk: "local" }),
    ]);
  });
  afterAll(() => lab?.down());

  const migrate = (guest: Guest, to: string) =>
    `virsh -q migrate --live --persistent --undefinesource --p2p ${guest.name} qemu+tls://${to}/system`;

  test("move a guest over TLS, and it counts on; one with a disk of its host's own stays", async () => {
    await expect(lab.sh("hv1", migrate(stayer, "hv2"))).rejects.toThrow("without shared storage is unsafe");
    const before = counter(mover);
    await lab.sh("hv1", migrate(mover, "hv2"));
    assertRanOn(before, await counts(mover));
    expect(await domainsOf(lab, "hv1")).toEqual(new Map([[stayer.name, "running"]]));
    expect(await domainsOf(lab, "hv2")).toEqual(new Map([[mover.name, "running"]]));
    const disk = `qemu-img info /var/lib/slipway-shared/${mover.name}.qcow2`;
    expect((await lab.exec("hv1", ["sh", "-c", disk])).stderr).toContain("Is another process using the image");
  });

  test("lose power, and with it their own guests only", async () => {
    await lab.powercut("hv2", true);
    await until("hv2 is off", async () => (await lab.host("hv2")).state === "off");
    const last = counter(mover);
    assertRanOn(counter(stayer), await counts(stayer, await counts(stayer)));
    expect(counter(mover)).toEqual(last);
    await lab.boots("hv2");
    expect(await domainsOf(lab, "hv2")).toEqual(new Map([[mover.name, "shut off"]]));
    await lab.sh("hv2", `virsh -q start ${mover.name}`);
    const again = await counts(mover, last);
    expect(() => assertRanOn(last, { ...again, count: 1e6 })).toThrow("was started again");
  });

  test("shut a guest down when asked, and leave nothing behind", async () => {
    await lab.sh("hv1", `virsh -q shutdown ${stayer.name}`);
    await until("the guest is off", async () => (await domainsOf(lab, "hv1")).get(stayer.name) === "shut off");
    expect(leftOf(lab.name, [mover])).toContain("control groups");
    expect(leftOf(lab.name, [mover]).filter((thing) => thing.startsWith("process")).length).toBeGreaterThan(1);
    await lab.down();
    expect(leftOf(lab.name, [mover, stayer])).toEqual([]);
  });
});

const clusters = { etcd: true, gluster: true } as const;
describe.skipIf(unable(clusters) !== undefined)("clusters of a lab", () => {
  const hosts = ["hv1", "hv2", "hv3"];
  let lab: Lab;
  beforeAll(async () => {
    lab = await boot("clusters", hosts, clusters);
    await Promise.all([etcdIsHealthy(lab, hosts), startGluster(lab, hosts)]);
  });
  afterAll(() => lab?.down());

  test("keep what was written when a member reboots and when it loses power", async () => {
    const etcdctl = (host: string, version: 2 | 3, words: string) =>
      lab.sh(host, `ETCDCTL_API=${version} etcdctl --endpoints http://${host}:2379 ${words}`);
    await etcdctl("hv1", 3, "put three kept");
    await etcdctl("hv1", 2, "set /two kept");
    await lab.sh("hv1", "mount /mnt/rep3 && mount /mnt/arb && echo kept | tee /mnt/rep3/file > /mnt/arb/file");
    const { boots } = await lab.host("hv2");
    await lab.reboot("hv2");
    await lab.waitForBoot("hv2", boots + 1);
    await lab.powercut("hv3");
    await lab.waitForBoot("hv3", boots + 1);
    await etcdIsHealthy(lab, hosts);
    for (const host of hosts) {
      expect(await etcdctl(host, 3, "get --print-value-only three")).toBe("kept\n");
      expect(await etcdctl(host, 2, "get /two")).toBe("kept\n");
    }
    for (const volume of ["rep3", "arb"]) {
      await until(`${volume} is whole`, async () => {
        const { stdout } = await lab.exec("hv2", ["gluster", "volume", "heal", volume, "info"]);
        return stdout.split("Status: Connected\nNumber of entries: 0").length === hosts.length + 1;
      });
      expect(await lab.sh("hv2", `mount /mnt/${volume} && cat /mnt/${volume}/file`)).toBe("kept\n");
    }
    // The arbiter has the names without the contents.
    expect(await lab.sh("hv3", "cat /bricks/rep3/file; stat -c %s /bricks/arb/file")).toBe("kept\n0\n");
  });
});
