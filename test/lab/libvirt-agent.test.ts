import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Instance, MoveOptions } from "@slipway/shared";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JobResult } from "../../packages/agent/src/steps/ports.ts";
import type { InstanceSpec } from "../../packages/agent/src/steps/types.ts";
import { CONTROLLER, Pool, unable, until } from "./kit.ts";
import { assertRanOn, counter, counts, createGuest, domainsOf, type Guest } from "./lib/guests.ts";
import { putFile } from "./lib/lab.ts";
import type { Order, Told } from "./lib/libvirt-driver.ts";
import { SHARED } from "./lib/storage.ts";

// The agent's libvirt platform on real libvirt: what it says of hosts and guests, what it does to them, and that it tells the truth
// about moves that were cut off.

const NODE = "/usr/lib/slipway/bin/node";
const DRIVER = "/var/tmp/libvirt-driver.mjs";
const METADATA =
  '<metadata><slipway:instance xmlns:slipway="https://slipway.dev/instance/1" policy="migrate" weight="7"/></metadata>';
const AGENT = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>";
const own = (name: string) => `${name}-${process.pid}`;

/** The driver as one file, which is all that a lab host gets of the sources. */
async function bundled(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("lib/libvirt-driver.ts", import.meta.url))],
    ...{ bundle: true, write: false, platform: "node", format: "esm", target: "node24", logLevel: "error" },
    conditions: ["@slipway/source"],
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  });
  return outputFiles[0]?.text ?? "";
}

describe.skipIf(unable({ libvirt: true }) !== undefined)("the libvirt platform of an agent", () => {
  let pool: Pool;
  let mover: Guest;
  let local: Guest;
  let deaf: Guest;
  beforeAll(async () => {
    pool = await Pool.start("platform", 2, { libvirt: true });
    const code = await bundled();
    for (const host of pool.hosts) putFile(pool.lab, host, DRIVER, code);
    [mover, local, deaf] = await Promise.all([
      createGuest(pool.lab, "hv1", own("mover"), { disk: "shared", xml: METADATA, devices: AGENT, autostart: true }),
      createGuest(pool.lab, "hv1", own("local"), { disk: "local" }),
      createGuest(pool.lab, "hv1", own("deaf"), { deaf: true }),
    ]);
  }, 300_000);
  afterAll(() => pool?.stop());

  const order = (more: Omit<Order, "sharedPaths">): string =>
    JSON.stringify({ ...more, sharedPaths: [{ path: SHARED, name: "lab" }] }, (_key, value) =>
      typeof value === "bigint" ? { big: String(value) } : value,
    );
  async function drive(host: string, more: Omit<Order, "sharedPaths">): Promise<Told> {
    const { stdout, stderr, status } = await pool.lab.exec(host, [NODE, DRIVER, order(more)]);
    if (status !== 0) throw new Error(`driver on ${host}: status ${status}: ${stderr}`);
    return JSON.parse(stdout, (_key, value) =>
      typeof value === "object" && value !== null && "big" in value ? BigInt(value.big) : value,
    ) as Told;
  }
  async function instanceOf(host: string, guest: Guest): Promise<Instance> {
    const { inventory } = await drive(host, {});
    expect(inventory.problem).toBe("");
    const found = inventory.instances.find((one) => one.name === guest.name);
    if (found === undefined) throw new Error(`${guest.name} is not on ${host}`);
    return found;
  }
  function specOf(
    { uuid, name }: Instance,
    verb: InstanceSpec["verb"],
    more: Partial<InstanceSpec> = {},
  ): InstanceSpec {
    return { kind: "instance", verb, uuid, name, generation: 1, timeoutMs: 60_000, ...more };
  }
  function moveOf(instance: Instance, to: string, more: Partial<MoveOptions> = {}): InstanceSpec {
    const none = { address: "", storage: "", bandwidthMib: 0, downtimeMs: 0, autoConverge: false, postCopy: false };
    return specOf(instance, "move", {
      move: { ...none, to, uri: `qemu+tls://${to}/system`, stuckMs: 0, disks: [], ...more },
    });
  }
  async function does(host: string, spec: InstanceSpec, more: Partial<Order> = {}): Promise<JobResult> {
    const { result } = await drive(host, { ...more, spec });
    if (result === undefined) throw new Error("the driver told no result");
    return result;
  }
  const state = async (host: string, guest: Guest) => (await domainsOf(pool.lab, host)).get(guest.name);
  const isAutostarted = async (host: string, guest: Guest) =>
    (await pool.lab.sh(host, "virsh -q list --all --name --autostart")).split("\n").includes(guest.name);

  test("tells what the host is and what runs on it", async () => {
    const { inventory } = await drive("hv1", {});
    expect(inventory).toMatchObject({
      platform: "libvirt",
      problem: "",
      capacity: { cpuArch: "x86_64", cpus: expect.any(Number), version: expect.stringMatching(/^libvirt .*QEMU/) },
    });
    expect(inventory.capacity?.pools).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: "shared", active: true, sharedAs: "shared lab" }),
        expect.objectContaining({ name: "default", active: true, sharedAs: "" }),
      ]),
    );
    const one = await instanceOf("hv1", mover);
    expect(one).toMatchObject({
      ...{ state: "running", job: "", autostart: true, persistent: true, guestAgent: false, memoryMib: 96 },
      ...{ virtType: "qemu", metadata: { policy: "migrate", weight: "7" } },
      disks: [{ target: "vda", pool: "shared", sharedAs: "shared lab", sizeMib: 64 }],
    });
    expect(Number(one.startedAtMs)).toBeGreaterThan(0);
    expect((await instanceOf("hv1", local)).disks).toMatchObject([{ pool: "default", sharedAs: "" }]);
  });

  test("admits what fits, and says why it does not admit what does not", async () => {
    const instance = await instanceOf("hv1", mover);
    const admitted = await does("hv2", specOf(instance, "admit", { instance }));
    expect(admitted).toMatchObject({ verdict: "ok", reason: "", instance: { present: false } });
    const odd = {
      ...instance,
      nics: [{ kind: "bridge", source: "br9" }],
      machineType: "pc-q35-99",
      memoryMib: 9_999_999,
    };
    const refused = await does("hv2", specOf(instance, "admit", { instance: odd }));
    expect(refused.verdict).toBe("failed");
    expect(refused.reason).toMatch(/pc-q35-99.*br9.*9999999 MiB/);
    const here = await does("hv1", specOf(instance, "admit", { instance }));
    expect(here).toMatchObject({ verdict: "failed", reason: "it is running here already" });
  });

  test("moves a guest that counts on, and what libvirt forgets moves too", async () => {
    const before = counter(mover);
    const result = await does("hv1", moveOf(await instanceOf("hv1", mover), "hv2", { downtimeMs: 200 }));
    expect(result).toMatchObject({ verdict: "ok", reason: "", instance: { present: false } });
    expect(Number(result.instance?.bytes)).toBeGreaterThan(1_000_000);
    assertRanOn(before, await counts(mover));
    expect([await state("hv1", mover), await state("hv2", mover)]).toEqual([undefined, "running"]);
    expect(await isAutostarted("hv2", mover)).toBe(true);
    expect((await instanceOf("hv2", mover)).stateReason).toBe("migrated");
  });

  test("leaves a guest where it is when it cannot move, and copies its disk when it is told to", async () => {
    const instance = await instanceOf("hv1", local);
    const before = counter(local);
    const without = await does("hv1", moveOf(instance, "hv2"));
    expect(without).toMatchObject({ verdict: "failed", instance: { present: true, state: "running" } });
    expect(without.reason).toMatch(/unsafe.*it is still here, running/);
    const nowhere = await does("hv1", moveOf(instance, "nowhere.invalid"));
    expect(nowhere).toMatchObject({ verdict: "failed", instance: { state: "running" } });
    const copied = await does("hv1", moveOf(instance, "hv2", { storage: "all", disks: ["vda"] }));
    expect(copied).toMatchObject({ verdict: "ok", reason: "" });
    assertRanOn(before, await counts(local));
    expect(await state("hv2", local)).toBe("running");
  });

  test("keeps a paused guest paused, and lets it run on", async () => {
    await pool.lab.sh("hv2", `virsh -q suspend ${local.name}`);
    const instance = await instanceOf("hv2", local);
    expect(instance.state).toBe("paused");
    const result = await does("hv2", moveOf(instance, "hv1", { storage: "all", disks: ["vda"] }));
    expect(result.verdict).toBe("ok");
    expect(await state("hv1", local)).toBe("paused");
    const before = counter(local);
    expect(await does("hv1", specOf(instance, "stop"))).toMatchObject({ verdict: "failed" });
    expect(await does("hv1", specOf(instance, "resume"))).toMatchObject({ verdict: "ok" });
    assertRanOn(before, await counts(local));
  });

  test("whose agent is killed on the way is done all the same, and the next agent says so", async () => {
    const instance = await instanceOf("hv2", mover);
    const before = counter(mover);
    const spec = moveOf(instance, "hv1", { bandwidthMib: 8 });
    await expect(drive("hv2", { spec, diesOnTheWay: true })).rejects.toThrow(/status (?:137|null|-1)/);
    expect((await instanceOf("hv2", mover)).job).toBe("migrating-out");
    expect((await instanceOf("hv1", mover)).state).toBe("incoming");
    expect(await does("hv2", spec, { isResumed: true })).toMatchObject({ verdict: "ok", reason: "" });
    assertRanOn(before, await counts(mover));
    expect([await state("hv1", mover), await state("hv2", mover)]).toEqual(["running", undefined]);
    expect(await isAutostarted("hv1", mover)).toBe(true);
  });

  test("whose deadline passes on the way is taken back", async () => {
    const before = counter(mover);
    const spec = { ...moveOf(await instanceOf("hv1", mover), "hv2", { bandwidthMib: 4 }), timeoutMs: 4_000 };
    const result = await does("hv1", spec);
    expect(result).toMatchObject({ verdict: "timed-out", instance: { state: "running", job: "" } });
    assertRanOn(before, await counts(mover));
    expect(await state("hv2", mover)).toBeUndefined();
    expect(await does("hv1", spec, { isResumed: true })).toMatchObject({ verdict: "interrupted" });
  });

  test("that loses its target on the way stays, and counts on", async () => {
    const before = counter(mover);
    const spec = moveOf(await instanceOf("hv1", mover), "hv2", { bandwidthMib: 4, stuckMs: 5_000 });
    const moving = does("hv1", spec);
    await until("it is on its way", async () => (await instanceOf("hv1", mover)).job === "migrating-out");
    await pool.lab.powercut("hv2");
    const result = await moving;
    expect(result).toMatchObject({ verdict: "failed", instance: { present: true, state: "running" } });
    assertRanOn(before, await counts(mover));
    await until("hv2 answers", async () => (await pool.lab.exec("hv2", ["virsh", "list"])).status === 0);
    expect(await state("hv2", mover)).toBeUndefined();
  });

  test.each(["hv1", "hv2"])("during which the libvirtd of %s is killed is told as it is", async (victim) => {
    const before = counter(mover);
    const spec = moveOf(await instanceOf("hv1", mover), "hv2", { bandwidthMib: 8, stuckMs: 10_000 });
    const moving = does("hv1", spec);
    await until("it is on its way", async () => (await instanceOf("hv1", mover)).job === "migrating-out");
    await pool.lab.sh(victim, "systemctl kill -s KILL --kill-who=main libvirtd.service");
    const result = await moving;
    assertRanOn(before, await counts(mover));
    const places = await Promise.all(["hv1", "hv2"].map((host) => state(host, mover)));
    expect(places.filter((one) => one === "running").length).toBe(1);
    if (result.verdict === "ok") expect(places).toEqual([undefined, "running"]);
    else {
      expect(places[0]).toBe("running");
      expect(result.reason).toMatch(/it is still here, running/);
    }
    if (places[1] === "running") await does("hv2", moveOf(await instanceOf("hv2", mover), "hv1"));
  });

  test("stops a guest that listens, never one that does not, and starts it again", async () => {
    const [one, other] = [await instanceOf("hv1", local), await instanceOf("hv1", deaf)];
    expect(await does("hv1", specOf(one, "stop"))).toMatchObject({ verdict: "ok", instance: { state: "shutoff" } });
    const unheard = await does("hv1", specOf(other, "stop", { timeoutMs: 3_000 }));
    expect(unheard).toMatchObject({ verdict: "timed-out", instance: { state: "running" } });
    assertRanOn(counter(deaf), await counts(deaf));
    expect(await does("hv1", specOf(one, "start"))).toMatchObject({ verdict: "ok", instance: { state: "running" } });
    expect(await does("hv1", specOf(one, "discard"))).toMatchObject({ verdict: "failed" });
  });

  test("saves a guest's memory, from which it goes on", async () => {
    const one = await instanceOf("hv1", deaf);
    const before = counter(deaf);
    expect(await does("hv1", specOf(one, "save"))).toMatchObject({ verdict: "ok", instance: { state: "shutoff" } });
    expect((await instanceOf("hv1", deaf)).saved).toBe(true);
    expect(await does("hv1", moveOf(one, "hv2"))).toMatchObject({ verdict: "failed" });
    expect(await does("hv1", specOf(one, "start"))).toMatchObject({ verdict: "ok" });
    assertRanOn(before, await counts(deaf));
  });

  test("says that libvirt is down, not that nothing runs", async () => {
    await pool.lab.sh("hv1", "systemctl stop 'libvirtd*.socket' libvirtd.service");
    const { inventory, result } = await drive("hv1", {
      spec: specOf({ uuid: "aaaaaaaa-0000-4000-8000-000000000001", name: "x" } as Instance, "look"),
    });
    expect(inventory.problem).toMatch(/libvirt: .*connect/);
    expect(result).toMatchObject({ verdict: "failed", instance: { problem: expect.stringMatching(/connect/) } });
    await pool.lab.sh("hv1", "systemctl start libvirtd.socket libvirtd-tls.socket libvirtd.service");
    expect((await instanceOf("hv1", mover)).state).toBe("running");
  });

  test("moves with certificates that slipway-agent libvirt-tls has put in place", async () => {
    for (const host of pool.hosts) {
      const refused = await pool.lab.exec(host, ["slipway-agent", "libvirt-tls"]);
      expect(refused.stderr).toMatch(/servercert\.pem.*not from Slipway's authority|tls_allowed_dn_list is set/);
      await pool.lab.sh(host, "sed -i '/^tls_allowed_dn_list/d' /etc/libvirt/libvirtd.conf; rm -r /etc/pki/libvirt");
      const done = await pool.lab.sh(host, "slipway-agent libvirt-tls");
      expect(done).toMatch(/wrote \/etc\/pki\/libvirt\/servercert\.pem[\s\S]*libvirtd-tls\.socket/);
      expect(await pool.lab.sh(host, "slipway-agent libvirt-tls")).toMatch(
        /^certificates are in place\nlibvirtd-tls.* open\n$/,
      );
    }
    const before = counter(mover);
    expect(await does("hv1", moveOf(await instanceOf("hv1", mover), "hv2"))).toMatchObject({
      verdict: "ok",
      reason: "",
    });
    assertRanOn(before, await counts(mover));
    await pool.lab.sh("hv1", "echo slipway.platform=libvirt >> /etc/slipway/agent.properties");
    const doctor = await pool.lab.exec("hv1", ["slipway-agent", "doctor"]);
    expect(doctor.stdout).toMatch(/^ok +libvirt +qemu:\/\/\/system: libvirt/m);
    expect(doctor.stdout).toMatch(/^ok +migration +qemu\+tls:\/\/hv1\/system: lets this host in/m);
    expect(doctor.stdout).toMatch(/^ok +pool shared /m);
  });

  test("opens libvirt to hosts, not to operators, whose certificates are of the same authority", async () => {
    const pki = "/var/tmp/operator";
    const [ca, certificate, key] = ["ca.pem", "lab.pem", "lab.key"].map((name) =>
      readFileSync(pool.lab.path(CONTROLLER, `/etc/slipway/${name}`), "utf8"),
    );
    putFile(pool.lab, "hv1", `${pki}/cacert.pem`, ca ?? "");
    putFile(pool.lab, "hv1", `${pki}/clientcert.pem`, certificate ?? "");
    putFile(pool.lab, "hv1", `${pki}/clientkey.pem`, key ?? "", 0o600);
    const list = (more: string) => pool.lab.exec("hv1", ["virsh", "-c", `qemu+tls://hv2/system${more}`, "list"]);
    expect((await list("")).status).toBe(0);
    const refused = await list(`?pkipath=${pki}`);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/certificate|closed|reset|end of file/i);
  });
});
