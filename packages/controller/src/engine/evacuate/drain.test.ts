import type { Instance } from "@slipway/shared";
import { describe, expect, test } from "vitest";
import { defaultPool } from "../../domain/pool.ts";
import { instance, TestPool, uuidOf } from "../../testing/pool.ts";

const policy = (n: number, word: string, over: Partial<Instance> = {}) =>
  instance(n, { metadata: { policy: word }, ...over });
const tied = (n: number) => instance(n, { devices: [{ kind: "pci", name: "0000:3b:00.0" }] });
const verbs = (pool: TestPool) =>
  pool.sent.flatMap(({ host, command }) =>
    command.kind === "start" && command.task.kind === "instance"
      ? [`${command.task.verb} ${command.task.name} on ${host}`]
      : [],
  );
const stepsOf = (pool: TestPool, host: string) =>
  pool.coordinator
    .run("r1")
    ?.hosts.find((h) => h.name === host)
    ?.steps.map((s) => s.step) ?? [];

describe("a drain", () => {
  test("moves what migrates to the others, then the maintenance follows", () => {
    const pool = new TestPool({ hv1: [instance(1), instance(2), instance(3)], hv2: [instance(4)], hv3: [] });
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
    expect(pool.lines.slice(pool.lines.findIndex((l) => l.includes("open: cordon")))).toMatchInlineSnapshot(`
      [
        "ledger r1:hv1:cordon:1: open: cordon hv1, undone by uncordon",
        "host hv1: gate => cordoning",
        "host hv1: cordoning => draining",
        "host hv1: 3 instances: 3 to move",
        "instance vm1: hv1 -> hv2 (to empty the host)",
        "instance vm2: hv1 -> hv2 (to empty the host)",
        "instance vm1: hv1 => hv2 (moved in 2 s)",
        "instance vm3: hv1 -> hv2 (to empty the host)",
        "instance vm2: hv1 => hv2 (moved in 2 s)",
        "instance vm3: hv1 => hv2 (moved in 2 s)",
        "host hv1: draining => maintenance",
        "host hv1: Maintenance ended: ok, 0 ms",
        "host hv1: maintenance => restoring",
        "host hv1: restoring => uncordoning",
        "ledger r1:hv1:cordon:1: closed (undone by the run)",
        "host hv1: uncordoning => post-maintenance",
        "host hv1: PostMaintenance ended: ok, 0 ms",
        "host hv1: post-maintenance => updated",
        "run r1: rolling => ended: succeeded (OK: 1 updated)",
      ]
    `);
    expect(pool.running().filter((l) => l.includes("hv1"))).toEqual([]);
  });

  test("asks the target before the source is told to move anything, with a generation that rises", () => {
    const pool = new TestPool({ hv1: [instance(1, { generation: 4 })], hv2: [] });
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    const told = pool.sent.flatMap(({ command }) =>
      command.kind === "start" && command.task.kind === "instance" ? [command.task] : [],
    );
    expect(told.map((t) => [t.verb, t.generation])).toEqual([
      ["admit", 5],
      ["move", 5],
    ]);
    expect(told[0]).toMatchObject({ from: "hv1", instance: { name: "vm1", memoryMib: 1024 } });
    expect(told[1]?.move).toMatchObject({ to: "hv2", uri: "qemu+tls://hv2/system", storage: "" });
  });

  test("never has more migrations under way than host, target and cluster may", () => {
    const many = (from: number) => Array.from({ length: 6 }, (_, i) => instance(from + i));
    const pool = new TestPool({ hv1: many(1), hv2: many(11), hv3: [], hv4: [] });
    pool.pool = { ...defaultPool, migration: { ...defaultPool.migration, perHost: 2, perTarget: 3, perCluster: 3 } };
    const open: { from: string; to: string }[] = [];
    const peak = { host: 0, target: 0, cluster: 0 };
    pool.fate = (from, task) => {
      if (task.verb !== "move") return undefined;
      const one = { from, to: task.move?.to ?? "" };
      open.push(one);
      const count = (fits: (o: typeof one) => boolean) => open.filter(fits).length;
      peak.host = Math.max(
        peak.host,
        count((o) => o.from === from),
      );
      peak.target = Math.max(
        peak.target,
        count((o) => o.to === one.to),
      );
      peak.cluster = Math.max(peak.cluster, open.length);
      pool.after(1_799, () => open.splice(open.indexOf(one), 1));
      return undefined;
    };
    pool.start(["hv1", "hv2"], { return: "none", maxOut: 2 });
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
    expect(peak.host).toBe(2);
    expect(peak.cluster).toBe(3);
    expect(peak.target).toBeLessThanOrEqual(3);
  });

  test("stops by policy only after everything else has left, the ledger first, and starts it again in the order of tiers", () => {
    const pool = new TestPool({
      hv1: [
        policy(1, "shutdown-restart"),
        policy(2, "managed-save", { metadata: { policy: "managed-save", tier: "2" } }),
        policy(3, "leave"),
        instance(4),
        instance(5, { state: "shutoff" }),
      ],
      hv2: [],
    });
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
    expect(pool.story()).toMatchInlineSnapshot(`
      [
        "ledger r1:hv1:cordon:1: open: cordon hv1, undone by uncordon",
        "instance vm4: hv1 -> hv2 (to empty the host)",
        "instance vm4: hv1 => hv2 (moved in 2 s)",
        "ledger r1:hv1:vm2:1: open: save vm2 on hv1, undone by start",
        "instance vm2: hv1: is saved (by policy)",
        "instance vm2: hv1: saved in 10 ms",
        "ledger r1:hv1:vm1:1: open: stop vm1 on hv1, undone by start",
        "instance vm1: hv1: is shut down (by policy)",
        "instance vm1: hv1: stopped in 10 ms",
        "instance vm1: hv1: is started",
        "instance vm1: hv1: started in 10 ms",
        "ledger r1:hv1:vm1:1: closed (it runs again)",
        "instance vm2: hv1: is started",
        "instance vm2: hv1: started in 10 ms",
        "ledger r1:hv1:vm2:1: closed (it runs again)",
        "ledger r1:hv1:cordon:1: closed (undone by the run)",
      ]
    `);
    expect(pool.running()).toEqual(["vm1 on hv1", "vm2 on hv1", "vm3 on hv1", "vm4 on hv2"]);
    expect(pool.report().ledger).toEqual([]);
  });

  test("without a target or a consent fails the run before anything is touched, by name", () => {
    const pool = new TestPool({ hv1: [instance(2)], hv2: [tied(1)], hv3: [] });
    const plan = pool.start(["hv1", "hv2"]);
    expect(plan.blockers.map((b) => b.text)).toEqual([expect.stringMatching(/^vm1 cannot leave hv2: .*0000:3b:00.0/)]);
    pool.settle();
    expect(pool.report()).toMatchObject({
      outcome: "failed",
      hosts: [
        { outcome: "untouched" },
        { outcome: "failed", reasonCode: "cannot-empty", reason: expect.stringContaining("0000:3b:00.0") },
      ],
    });
    expect(verbs(pool)).toEqual([]);
    expect(pool.lines.filter((l) => l.includes("ledger"))).toEqual([]);
  });

  test("a consent stops what cannot move, and only that", () => {
    const pool = new TestPool({ hv1: [tied(1), instance(2)], hv2: [] });
    const plan = pool.start(["hv1"], { consentStop: ["vm1", "vm2"], return: "none" });
    expect(plan).toMatchObject({ blockers: [], evacuation: { moves: 1, hosts: [{ stops: [{ name: "vm1" }] }] } });
    pool.settle();
    expect(verbs(pool)).toEqual(["admit vm2 on hv2", "move vm2 on hv1", "stop vm1 on hv1", "start vm1 on hv1"]);
    expect(pool.lines).toContain("instance vm1: hv1: is shut down (by consent)");
    expect(pool.running()).toEqual(["vm1 on hv1", "vm2 on hv2"]);
  });

  test("a failed migration is tried elsewhere; when no target is left the host is put back and nothing was stopped", () => {
    const pool = new TestPool({ hv1: [instance(1), instance(2)], hv2: [], hv3: [], hv4: [] });
    pool.fate = (_h, task) =>
      task.verb === "move" && task.name === "vm2"
        ? { verdict: "failed", reason: "dirty pages rise faster than they are sent" }
        : undefined;
    pool.start(["hv1"]);
    pool.settle();
    expect(pool.report()).toMatchObject({
      hosts: [
        {
          outcome: "failed",
          reasonCode: "drain-blocked",
          reason: expect.stringMatching(
            /vm2 could not be moved: hv.: dirty pages .*; hv.: dirty pages .*; hv.: dirty pages/,
          ),
        },
      ],
      ledger: [],
    });
    expect(pool.running()).toContain("vm2 on hv1");
    expect(pool.running().some((l) => /vm1 on hv[234]/.test(l))).toBe(true);
    expect(verbs(pool).filter((v) => v.startsWith("stop") || v.startsWith("save"))).toEqual([]);
    expect(stepsOf(pool, "hv1").slice(-3)).toEqual(["drain", "restore", "uncordon"]);
    const targets = pool.lines.flatMap((l) => /instance vm2: hv1 -> (hv.)/.exec(l)?.[1] ?? []);
    expect(new Set(targets).size).toBe(3);
  });

  test("that failed brings back what had moved if the operator chose so", () => {
    const pool = new TestPool({ hv1: [instance(1), instance(2)], hv2: [], hv3: [] });
    pool.fate = (_h, t) => (t.verb === "move" && t.name === "vm2" ? { verdict: "failed", reason: "no" } : undefined);
    pool.start(["hv1"], { onDrainFailure: "return" });
    pool.settle();
    expect(pool.running()).toEqual(["vm1 on hv1", "vm2 on hv1"]);
    expect(pool.report().hosts[0]).toMatchObject({ outcome: "failed", reasonCode: "drain-blocked" });
  });

  test("a refused admission costs the instance nothing and is tried elsewhere", () => {
    const pool = new TestPool({ hv1: [instance(1)], hv2: [], hv3: [] });
    let refused = "";
    pool.fate = (host, t) => {
      if (t.verb !== "admit" || (refused !== "" && refused !== host)) return undefined;
      refused = host;
      return { verdict: "failed", reason: "refused: no room" };
    };
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
    expect(verbs(pool).filter((v) => v.startsWith("look"))).toEqual([]);
    expect(pool.lines).toContain(`instance vm1: stays on hv1, not moved to ${refused} (refused: no room)`);
  });

  test("sees and moves an instance that is started on the host meanwhile, and tells of one that stops by itself", () => {
    const pool = new TestPool({ hv1: [instance(1), instance(2), instance(3)], hv2: [], hv3: [] });
    pool.pool = { ...defaultPool, migration: { ...defaultPool.migration, perHost: 1 } };
    pool.fate = (_h, t) => {
      if (t.verb === "move" && t.name === "vm1") {
        pool.host("hv1").instances.set(uuidOf(9), instance(9));
        pool.host("hv1").instances.set(uuidOf(3), instance(3, { state: "shutoff" }));
        pool.coordinator.worldChanged();
      }
      return undefined;
    };
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
    expect(pool.lines).toContain("host hv1: instance vm9 was started on hv1 while it is emptied");
    expect(pool.lines).toContain("host hv1: instance vm3 stopped by itself while hv1 was emptied");
    expect(pool.running().filter((l) => l.includes("hv1"))).toEqual([]);
    expect(verbs(pool)).not.toContain("start vm3 on hv1");
  });

  test("moves paused instances too", () => {
    const pool = new TestPool({ hv1: [instance(1, { state: "paused" })], hv2: [] });
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(pool.host("hv2").instances.get(uuidOf(1))?.state).toBe("paused");
  });

  test("touches nothing before the host itself says that it takes no instances", () => {
    const pool = new TestPool({ hv1: [instance(1)], hv2: [] });
    pool.host("hv1").obeysCordon = false;
    pool.start(["hv1"], { maintenanceWaitMs: 60_000 });
    pool.settle(30_000);
    expect(verbs(pool)).toEqual([]);
    expect(pool.coordinator.waits("r1").map((w) => w.reason.rule)).toEqual(["cordon-unconfirmed"]);
    pool.settle();
    expect(verbs(pool)).toEqual([]);
    expect(pool.report().hosts[0]).toMatchObject({ outcome: "failed", reasonCode: "drain-timed-out" });
  });

  test("at its deadline cancels what is under way, and fails only when that is settled", () => {
    const pool = new TestPool({ hv1: [instance(1)], hv2: [] });
    pool.fate = (_h, t) => (t.verb === "move" ? { takesMs: 10_000_000 } : undefined);
    pool.start(["hv1"], { maintenanceWaitMs: 60_000 });
    pool.settle();
    expect(pool.sent.some((s) => s.command.kind === "cancel")).toBe(true);
    expect(pool.report().hosts[0]).toMatchObject({ outcome: "failed", reasonCode: "drain-timed-out" });
    expect(pool.running()).toEqual(["vm1 on hv1"]);
    const end = pool.lines.findIndex((l) => l.includes("drain given up"));
    expect(pool.lines.findIndex((l) => l.includes("instance vm1: stays on hv1"))).toBeLessThan(end);
  });

  test("is not ended by an abort before its migrations have; abort now cancels them", () => {
    for (const now of [false, true]) {
      const pool = new TestPool({ hv1: [instance(1), instance(2), instance(3)], hv2: [] });
      let asked = false;
      pool.fate = (_h, t) => {
        if (t.verb === "move" && !asked) {
          asked = true;
          pool.after(500, () => pool.coordinator.command("r1", { kind: "abort", now, reason: "" }, "bob"));
        }
        return undefined;
      };
      pool.start(["hv1"]);
      pool.settle();
      expect(pool.report()).toMatchObject({ outcome: "aborted", hosts: [{ outcome: "skipped" }], ledger: [] });
      const moved = pool.running().filter((l) => l.includes("hv2"));
      expect(moved).toEqual(now ? [] : ["vm1 on hv2", "vm2 on hv2"]);
      expect(pool.running()).toHaveLength(3);
    }
  });

  test("that is paused begins nothing new", () => {
    const pool = new TestPool({ hv1: [instance(1), instance(2), instance(3)], hv2: [] });
    pool.fate = (_h, t) => {
      if (t.verb === "move" && t.name === "vm1")
        pool.after(10, () => pool.coordinator.command("r1", { kind: "pause", reason: "" }, "bob"));
      return undefined;
    };
    pool.start(["hv1"], { return: "none" });
    pool.settle(60_000);
    expect(verbs(pool).filter((v) => v.startsWith("move"))).toHaveLength(2);
    pool.coordinator.command("r1", { kind: "resume", reason: "" }, "bob");
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
  });

  test("a guest that does not shut down fails its host; it is never forced, and the entry shows that it runs", () => {
    const pool = new TestPool({ hv1: [policy(1, "shutdown-restart")], hv2: [] });
    pool.fate = (_h, t) =>
      t.verb === "stop" ? { verdict: "timed-out", reason: "did not shut down within 5 min" } : undefined;
    pool.start(["hv1"]);
    pool.settle();
    expect(pool.report()).toMatchObject({
      hosts: [{ outcome: "failed", reasonCode: "drain-blocked", reason: expect.stringContaining("did not shut down") }],
      ledger: [],
    });
    expect(verbs(pool)).toEqual(["stop vm1 on hv1", "look vm1 on hv1"]);
    expect(stepsOf(pool, "hv1")).not.toContain("Maintenance");
  });

  test("is done again when an instance is started after a reboot, before the next Maintenance", () => {
    const pool = new TestPool({ hv1: [instance(1)], hv2: [] });
    pool.stage = (ref) => {
      if (ref.step === "reboot") pool.host("hv1").instances.set(uuidOf(9), instance(9));
      return ref.step === "Maintenance" && ref.attempt === 1
        ? { requests: { rebootRequired: true, rerunAfterReboot: true, skip: "", message: "" } }
        : {};
    };
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    const steps = stepsOf(pool, "hv1");
    expect(steps.slice(steps.indexOf("cordon"))).toEqual([
      ...["cordon", "drain", "Maintenance", "reboot", "drain", "Maintenance", "restore", "uncordon", "PostMaintenance"],
    ]);
    expect(pool.running()).toEqual(["vm1 on hv2", "vm9 on hv2"]);
  });

  test("that has to be done again and again fails: somebody fights for the host", () => {
    const pool = new TestPool({ hv1: [], hv2: [] });
    let n = 1;
    pool.stage = (ref) => {
      if (ref.step !== "Maintenance" && ref.step !== "reboot") return {};
      pool.host("hv1").instances.set(uuidOf(++n), instance(n));
      return { requests: { rebootRequired: true, rerunAfterReboot: true, skip: "", message: "" } };
    };
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(pool.report().hosts[0]).toMatchObject({
      ...{ outcome: "failed", reasonCode: "drain-blocked" },
      reason: expect.stringContaining("started on hv1 again and again: vm4"),
    });
    expect(pool.running()).toContain("vm4 on hv1");
  });

  test("a host whose instances cannot be told is not drained, and the run fails before anything is changed", () => {
    const pool = new TestPool({ hv1: [instance(1)], hv2: [] });
    pool.host("hv1").problem = "libvirtd does not answer";
    pool.start(["hv1"]);
    pool.settle();
    expect(pool.report().hosts[0]).toMatchObject({
      outcome: "failed",
      reasonCode: "inventory-unknown",
      reason: expect.stringContaining("libvirtd"),
    });
    expect(pool.story()).toEqual([]);
  });

  test("of many instances costs each of them no more than a few decisions", () => {
    const all = Array.from({ length: 150 }, (_, i) => instance(i + 1, { memoryMib: 16, memoryMaxMib: 16, vcpus: 0 }));
    const pool = new TestPool({ hv1: all, hv2: [], hv3: [] });
    pool.pool = { ...defaultPool, migration: { ...defaultPool.migration, perHost: 16, perTarget: 16, perCluster: 16 } };
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
    expect(pool.running().every((l) => !l.includes("hv1"))).toBe(true);
    expect(pool.sent.length).toBeLessThan(all.length * 4);
  });

  test("Maintenance is not sent to a host that was away when it was due, and on which an instance was started meanwhile", () => {
    const pool = new TestPool({ hv1: [instance(1)], hv2: [] });
    const began = () => pool.sent.some((s) => s.command.kind === "start" && s.command.ref.step === "Maintenance");
    const stop = pool.coordinator.onUpdate(({ recorded: { event } }) => {
      if (event.type !== "step-started" || event.step !== "Maintenance") return;
      stop();
      pool.disconnect("hv1");
      pool.after(2_000, () => {
        pool.host("hv1").instances.set(uuidOf(9), instance(9));
        pool.connect("hv1");
      });
    });
    pool.start(["hv1"], { return: "none" });
    pool.settle(60_000);
    expect(pool.coordinator.run("r1")?.held).toMatchObject({ rule: "started-meanwhile", subject: "hv1" });
    expect(began()).toBe(false);
    pool.host("hv1").instances.delete(uuidOf(9));
    pool.coordinator.worldChanged();
    pool.settle();
    expect(began()).toBe(true);
    expect(pool.report().outcome).toBe("succeeded");
  });

  test("an instance that is on neither side after its migration holds the run; forced, it fails its host by name", () => {
    for (const forced of [false, true]) {
      const pool = new TestPool({ hv1: [instance(1)], hv2: [] });
      pool.fate = (_h, t) => {
        if (t.verb !== "move") return undefined;
        pool.after(100, () => pool.host("hv1").instances.delete(uuidOf(1)));
        return { verdict: "interrupted", reason: "cut off", takesMs: 200 };
      };
      pool.start(["hv1"], { forced, return: "none" });
      pool.settle(200_000);
      if (forced) expect(pool.report().hosts[0]).toMatchObject({ outcome: "failed", reasonCode: "drain-blocked" });
      else expect(pool.coordinator.run("r1")?.held?.rule).toBe("instance-lost");
      expect(pool.report().hosts[0]?.reason ?? "").toMatch(forced ? /vm1 is neither on hv1 nor on hv2/ : /^$/);
      expect(stepsOf(pool, "hv1")).not.toContain("Maintenance");
    }
  });
});
