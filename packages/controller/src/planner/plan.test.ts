import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { HostInventory } from "../domain/inventory.ts";
import { defaultPool } from "../domain/pool.ts";
import type { Surroundings } from "./evacuation.ts";
import { clusterOf, type KnownHost, optionsOf, planRun, scopeOf } from "./plan.ts";

const stages = ["PreFlight", "PreMaintenance", "Maintenance", "PostMaintenance"];

function withoutPlatform(name: string): HostInventory {
  const inventory = { seq: 1, platform: "none", problem: "", instances: [], cordonedBy: "" };
  return { host: name, labels: {}, connected: true, readT: 0, inventory };
}

function host(name: string, labels: Record<string, string> = {}, over: Partial<KnownHost> = {}): KnownHost {
  return {
    name,
    labels,
    connected: true,
    lastSeen: "last seen 2026-01-02T03:04:05Z",
    hooksDir: "/etc/slipway/hooks.d",
    hooksProblem: "",
    hooks: stages.map((stage) => ({ stage, file: `/h/${stage}`, sha256: "aa", problem: "" })),
    cordonedBy: [],
    ...over,
  };
}

/** No host has a platform. */
const around = (hosts: readonly KnownHost[]): Surroundings => ({
  inventories: (cluster) => hosts.filter((h) => clusterOf(h.labels) === cluster).map((h) => withoutPlatform(h.name)),
  pool: defaultPool,
  nowT: 0,
});

const none: Record<"hosts" | "clusters" | "pods" | "zones", string[]> = {
  hosts: [],
  clusters: [],
  pods: [],
  zones: [],
};
const fleet = [
  host("hv10", { cluster: "c2", pod: "p1", zone: "z1" }),
  host("hv2", { cluster: "c1", pod: "p1", zone: "z1" }),
  host("hv1", { cluster: "c1", pod: "p1", zone: "z1" }),
  host("hv3", { cluster: "c2", pod: "p2", zone: "z1" }),
  host("lone"),
];
const order = (scope: Partial<typeof none>, options = {}) =>
  planRun(fleet, scopeOf({ ...none, ...scope }), optionsOf(options), around(fleet)).hosts.map(
    (h) => `${h.wave}:${h.cluster}:${h.name}`,
  );

test("a drain of more hosts of a cluster than may be out is refused: it would never end", () => {
  expect(() => order({ hosts: ["hv1", "hv2", "hv3"] }, { op: "drain" })).toThrow(
    "drain: 2 hosts of cluster c1 would stay out together, and at most 1 may; drain fewer at once, or allow it: --max-out 2",
  );
  expect(order({ hosts: ["hv1", "hv2"] }, { op: "drain", maxOut: 2 })).toEqual(["1:c1:hv1", "1:c1:hv2"]);
  expect(order({ hosts: ["hv1", "hv3"] }, { op: "drain" })).toEqual(["1:c1:hv1", "1:c2:hv3"]);
});

describe("the order of a run", () => {
  test.each([
    [{ zones: ["z1"] }, ["1:c1:hv1", "2:c1:hv2", "3:c2:hv3", "4:c2:hv10"]],
    [{ clusters: ["c2", "c1"] }, ["1:c2:hv3", "2:c2:hv10", "3:c1:hv1", "4:c1:hv2"]],
    [{ pods: ["p1"] }, ["1:c1:hv1", "2:c1:hv2", "3:c2:hv10"]],
    [{ hosts: ["hv10", "hv2", "hv3", "hv1", "hv2"] }, ["1:c2:hv10", "2:c2:hv3", "3:c1:hv2", "4:c1:hv1"]],
    [{ clusters: ["default"] }, ["1:default:lone"]],
  ])("of %j", (scope, expected) => {
    expect(order(scope as Partial<typeof none>)).toEqual(expected);
  });

  test("has at most max-out hosts of one cluster in a wave, and no wave over two clusters", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 5 }),
        (clusters, maxOut) => {
          const hosts = clusters.map((c, i) => host(`h${i}`, { cluster: `c${c}`, zone: "z" }));
          const plan = planRun(hosts, scopeOf({ ...none, zones: ["z"] }), optionsOf({ maxOut }), around(hosts));
          expect(new Set(plan.hosts.map((h) => h.name)).size).toBe(hosts.length);
          for (const wave of Map.groupBy(plan.hosts, (h) => h.wave).values()) {
            expect(wave.length).toBeLessThanOrEqual(maxOut);
            expect(new Set(wave.map((h) => h.cluster)).size).toBe(1);
          }
        },
      ),
    );
  });
});

describe("a scope", () => {
  test.each([
    [{}, /nothing is chosen; give one of --hosts/],
    [{ hosts: ["hv1"], clusters: ["c1"] }, /hosts hv1 and clusters c1 were given; choose exactly one kind/],
    [{ hosts: ["hv11"] }, /host "hv11": there is none of that name; did you mean hv10?|hv1/],
    [{ clusters: ["c3"] }, /cluster "c3": there is none of that name; did you mean c[12]\?/],
    [{ zones: ["frankfurt"] }, /zone "frankfurt": there is none of that name; see slipway host list/],
  ])("that means nothing is refused: %j", (scope, message) => {
    expect(() => order(scope)).toThrow(message);
  });
});

describe("options", () => {
  test("have CloudStack's defaults", () => {
    expect(optionsOf({})).toMatchObject({
      forced: false,
      timeoutMs: 1_800_000,
      pingIntervalMs: 10_000,
      maintenanceWaitMs: 1_800_000,
      maxOut: 1,
      onFailure: "cordoned",
    });
  });
  test("refuse a timeout below the ping interval, and take an equal one", () => {
    expect(() => optionsOf({ timeoutMs: 9_999, pingIntervalMs: 10_000 })).toThrow(
      /timeout: 9.999 s is below the ping interval of 10 s; it must be greater or equal/,
    );
    expect(optionsOf({ timeoutMs: 10_000, pingIntervalMs: 10_000 }).timeoutMs).toBe(10_000);
  });
  test.each([{ maxOut: 0 }, { maxOut: 1.5 }, { timeoutMs: -1 }, { timeoutMs: 2 ** 40 }, { graceMs: Number.NaN }])(
    "refuse %j",
    (given) => {
      expect(() => optionsOf(given)).toThrow(/out of range/);
    },
  );
  test("split the payload", () => {
    expect(optionsOf({ payload: "a 'b c'" }).args).toEqual(["a", "b c"]);
  });
});

describe("what stands against a plan", () => {
  const plan = (...hosts: KnownHost[]) =>
    planRun(hosts, scopeOf({ ...none, hosts: hosts.map((h) => h.name) }), optionsOf({}), around(hosts));

  test("is named: host, rule, way out", () => {
    const bad = {
      stage: "Maintenance",
      file: "/h/Maintenance",
      sha256: "",
      problem: "not executable; run chmod +x /h/Maintenance",
    };
    const { blockers } = plan(
      host("down", {}, { connected: false }),
      host("bad", {}, { hooks: [bad] }),
      host("nodir", {}, { hooksProblem: "the hooks directory is not set", hooks: [] }),
    );
    expect(blockers.map((b) => [b.rule, b.text])).toEqual([
      ["unreachable", "down: its agent is not connected (last seen 2026-01-02T03:04:05Z)"],
      ["invalid-hook", "bad: Maintenance hook: not executable; run chmod +x /h/Maintenance"],
      ["hooks-dir", "nodir: the hooks directory is not set"],
    ]);
  });

  test("a host without a Maintenance hook is skipped, not blocked", () => {
    const { skipped, blockers, steps } = plan(host("h", {}, { hooks: [] }));
    expect([skipped.map((s) => s.rule), blockers, steps["h"]]).toEqual([["no-maintenance-hook"], [], ["inspect"]]);
  });

  test("hooks that differ within a cluster, and hosts that are cordoned already, are warned of", () => {
    const other = host(
      "h3",
      {},
      { hooks: stages.map((stage) => ({ stage, file: "", sha256: "bb", problem: "" })), cordonedBy: ["operator"] },
    );
    const { warnings } = plan(host("h1"), host("h2"), other);
    expect(warnings.map((w) => w.text)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^Maintenance hooks differ within cluster default: h3 has another one/),
        expect.stringMatching(/^h3 is cordoned already \(by an operator\)/),
      ]),
    );
  });
});

describe("a run whose work is a reboot", () => {
  test("needs no Maintenance hook, and reboots always unless told to look first", () => {
    const options = optionsOf({ op: "reboot" });
    expect(options.reboot).toBe("always");
    const hosts = [host("h", {}, { hooks: [] })];
    const plan = planRun(hosts, scopeOf({ ...none, hosts: ["h"] }), options, around(hosts));
    expect([plan.skipped, plan.steps["h"]]).toEqual([
      [],
      ["inspect", "gate", "cordon", "drain", "reboot", "restore", "uncordon"],
    ]);
    expect(optionsOf({ op: "reboot", reboot: "if-required" }).reboot).toBe("if-required");
    expect(() => optionsOf({ op: "reboot", reboot: "if-asked" })).toThrow(/means nothing when the reboot is the work/);
  });
});
