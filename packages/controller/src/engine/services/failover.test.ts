import type { Instance } from "@slipway/shared";
import { beforeEach, describe, expect, test } from "vitest";
import { noQuorum } from "../../domain/quorum.ts";
import { instance, TestPool } from "../../testing/pool.ts";

const unit = (n: number, more: Record<string, string> = {}): Instance =>
  instance(n, { metadata: { "default-policy": "failover", ...more } });
const service = (kind: string) => ({ kind, name: "", settings: {}, timeoutMs: 60_000 });

let pool: TestPool;
/** What fleet does with the units of hv1 when it stops there, by name: the host that it starts them on, after so many milliseconds. */
let starts: Record<string, { readonly on: string; readonly afterMs: number }>;
beforeEach(() => {
  starts = {};
  pool = new TestPool({ hv1: [unit(1), unit(2), unit(3, { "fleet.global": "true" })], hv2: [], hv3: [] });
  for (const host of pool.hosts.values()) host.platform = "fleet";
  pool.quorum = { ...noQuorum, services: [{ match: "hv1", services: [service("fleet"), service("etcd")] }] };
  pool.stage = ({ host, step }) => {
    if (step.startsWith("service-stop:fleet")) stop(host);
    return {};
  };
});

function stop(host: string): void {
  const { instances } = pool.host(host);
  for (const one of [...instances.values()]) {
    instances.delete(one.uuid);
    const { on, afterMs } = starts[one.name] ?? {};
    if (on === undefined) continue;
    pool.after(afterMs ?? 0, () => {
      pool.host(on).instances.set(one.uuid, one);
      pool.coordinator.worldChanged();
    });
  }
}

const services = () => pool.lines.filter((l) => l.startsWith("service ") && !l.includes(" is being "));

describe("when the service of a platform stops on a host", () => {
  test("the next service waits until what the host ran runs elsewhere", () => {
    starts = { vm1: { on: "hv2", afterMs: 20_000 }, vm2: { on: "hv3", afterMs: 40_000 } };
    pool.start(["hv1"], { op: "drain" });
    pool.settle(30_000);
    expect(services().some((l) => l.includes("etcd"))).toBe(false);
    expect(pool.coordinator.run("r1")?.hosts[0]?.outcome).toBeUndefined();
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
    expect(services()).toEqual([
      expect.stringMatching(/^service fleet: hv1: stopped/),
      expect.stringMatching(/^service etcd: hv1: stopped/),
    ]);
    expect(pool.running()).toEqual(["vm1 on hv2", "vm2 on hv3"]);
  });

  test("one that runs nowhere is named when the time of the stop is over, and the service starts again", () => {
    starts = { vm1: { on: "hv2", afterMs: 1_000 } };
    pool.start(["hv1"], { op: "drain" });
    pool.settle();
    const [host] = pool.report().hosts;
    expect(host?.outcome).toBe("failed");
    expect(host?.reason).toMatch(
      /fleet: vm2 stopped with fleet on hv1 and runs on no other host within 1m 00s.*--consent-stop vm2/,
    );
    expect(services()).toEqual([
      expect.stringMatching(/^service fleet: hv1: not done \(vm2 stopped/),
      expect.stringMatching(/^service fleet: hv1: started/),
    ]);
    expect(pool.report().ledger).toEqual([]);
  });

  test("one that may stay off is not waited for", () => {
    starts = { vm1: { on: "hv2", afterMs: 1_000 } };
    pool.start(["hv1"], { op: "drain", consentStop: ["vm2"] });
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
  });

  test("an abort does not wait for it", () => {
    pool.start(["hv1"], { op: "drain" });
    pool.settle(20_000);
    pool.coordinator.command("r1", { kind: "abort", now: false, reason: "" }, "alice");
    pool.settle(5_000);
    expect(pool.coordinator.run("r1")?.state).toBe("ended");
    expect(services().at(-1)).toMatch(/^service fleet: hv1: started/);
  });
});

/** Another unit of fleet comes to a host, with the names that it conflicts with. */
function arrive(n: number, on: string, conflicts: string): void {
  const one = unit(n, { "fleet.conflicts": conflicts });
  pool.host(on).instances.set(one.uuid, one);
  pool.coordinator.worldChanged();
}

const once = (line: RegExp, act: () => void) => {
  let done = false;
  pool.watch = () => {
    if (done || !pool.lines.some((l) => line.test(l))) return;
    done = true;
    act();
  };
};
const held = () => pool.coordinator.run("r1")?.held;

describe("places that the plan has found are looked for again", () => {
  test("before the host goes out: one for which there is none any more keeps it in", () => {
    const only = (host: string) => ({ "fleet.machines": `qemu+tls://${host}/system` });
    pool.host("hv1").instances.clear();
    pool.host("hv2").instances.set(unit(1).uuid, unit(1, only("hv3")));
    once(/^host hv1: .*=> maintenance/, () => arrive(9, "hv3", "vm1"));
    pool.start(["hv1", "hv2"], { op: "hooks" });
    pool.settle();
    expect(pool.report().hosts).toMatchObject([
      { outcome: "updated" },
      { outcome: "failed", reasonCode: "cannot-empty", reason: expect.stringContaining("hv3 runs vm9, which it conf") },
    ]);
    expect(pool.coordinator.cordonHolders("hv2")).toEqual([]);
  });

  test("before its platform stops: nothing is stopped until there is one again", () => {
    starts = { vm1: { on: "hv2", afterMs: 1_000 }, vm2: { on: "hv3", afterMs: 1_000 } };
    once(/^host hv1: cordoning => draining/, () => {
      arrive(8, "hv2", "vm1");
      arrive(9, "hv3", "vm1");
    });
    pool.start(["hv1"], { op: "drain" });
    pool.settle(600_000);
    expect(pool.lines.some((l) => l.startsWith("service "))).toBe(false);
    expect(held()).toMatchObject({ rule: "no-place", text: expect.stringContaining("vm1 stops with hv1") });
    pool.host("hv3").instances.delete(unit(9).uuid);
    pool.coordinator.worldChanged();
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
  });

  test("hosts that are out of service are no places", () => {
    starts = { vm1: { on: "hv2", afterMs: 1_000 }, vm2: { on: "hv2", afterMs: 1_000 } };
    pool.start(["hv1"], { op: "drain" });
    once(/^host hv1: cordoning => draining/, () => {
      pool.operatorCordons.add("hv2").add("hv3");
      pool.coordinator.worldChanged();
    });
    pool.settle(600_000);
    expect(held()?.text).toMatch(/hv2 is cordoned by an operator/);
  });
});
