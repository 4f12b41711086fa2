import type { Instance } from "@slipway/shared";
import { describe, expect, test } from "vitest";
import type { HostInventory } from "../domain/inventory.ts";
import { host, instance, poolOf, uuidOf } from "../testing/instances.ts";
import { globMatches } from "./fleet-rules.ts";
import { duties, place, type RehearsalOptions, rebalance, rehearse, returnsOf, settle } from "./index.ts";

/** A unit, with what its file says: conflicts, machines ... */
const unit = (name: string, says: Record<string, string> = {}, over: Partial<Instance> = {}): Instance => {
  const told = Object.entries(says).map(([key, value]) => [key === "weight" ? key : `fleet.${key}`, value]);
  const metadata = { "default-policy": "failover", ...Object.fromEntries(told), ...over.metadata };
  return instance(name, {
    memoryMib: 0,
    vcpus: 0,
    virtType: "",
    machineType: "",
    cpuMode: "",
    cpuModel: "",
    nics: [],
    ...over,
    metadata,
  });
};
const machine = (
  name: string,
  units: readonly Instance[] = [],
  about: Parameters<typeof host>[3] = {},
): HostInventory =>
  host(
    name,
    units,
    { migrationUri: `fleet://${name}` },
    { ...about, inventory: { platform: "fleet", ...about.inventory } },
  );

const plain: RehearsalOptions = { nowT: 0, consentStop: [], op: "reboot", reboot: "always", return: "none" };
const play = (hosts: readonly HostInventory[], waves: string[][], over: Partial<RehearsalOptions> = {}) =>
  rehearse(hosts, waves, { ...plain, ...over }, poolOf());
/** "ns1>top1", and "ns3>" for what finds no place. */
const places = (r: ReturnType<typeof play>) => r.hosts.flatMap((t) => t.leaves.map((l) => `${l.name}>${l.to}`));

/** The cluster of the recordings: each of two name servers says that it conflicts with others, the third says nothing. */
const recorded = (...more: HostInventory[]) => [
  machine("top1", [unit("admin2", { conflicts: "admin1" }), unit("ns2", { conflicts: "ns3" })]),
  machine("worker1", [
    unit("batch1", { machines: "fleet://worker1" }, { pinned: "MachineMetadata=name=worker1" }),
    unit("ns3"),
  ]),
  machine("worker2", [unit("admin1"), unit("ns1", { conflicts: "ns2 ns3" })]),
  ...more,
];

describe("a host of fleet that goes out", () => {
  test("leaves the units that the real one dropped without a word", () => {
    const r = play(recorded(), [["worker1"]]);
    expect(places(r)).toEqual(["batch1>", "ns3>"]);
    expect(r.blockers.map((b) => b.reason)).toEqual([
      {
        rule: "no-place",
        subject: "batch1",
        text: "batch1 stops with worker1, and fleet can start it nowhere else: top1 and worker2 are not among the machines of its unit file (MachineMetadata=name=worker1)",
        fix: "consent that it stays off until worker1 is back: --consent-stop batch1, or leave worker1 out",
      },
      expect.objectContaining({
        text: "ns3 stops with worker1, and fleet can start it nowhere else: top1 runs ns2, which it conflicts with; worker2 runs ns1, which it conflicts with",
      }),
    ]);
  });

  test("may go when an operator consented to that, and says so", () => {
    const r = play(recorded(), [["worker1"]], { consentStop: ["batch1", "ns3"] });
    expect(r.blockers).toEqual([]);
    expect(r.warnings.map((w) => w.text)).toEqual([
      "batch1 stops with worker1 and does not run until worker1 is back, as an operator consented",
      "ns3 stops with worker1 and does not run until worker1 is back, as an operator consented",
    ]);
  });

  test("is emptied by fleet, onto hosts with few units; nothing is moved by Slipway", () => {
    const r = play(recorded(machine("worker3")), [["top1"]]);
    expect([r.blockers, r.moves, r.hosts[0]?.moves]).toEqual([[], 0, []]);
    expect(places(r)).toEqual(["admin2>worker3", "ns2>worker3"]);
  });

  test("has its units counted where they went when the next one goes", () => {
    const hosts = [machine("a", [unit("ns1", { conflicts: "ns*" })]), machine("b"), machine("c", [unit("ns2")])];
    expect(places(play(hosts, [["a"], ["b"]]))).toEqual(["ns1>b", "ns1>a"]);
    const drained = play(hosts, [["a"], ["b"]], { op: "drain" });
    expect(drained.blockers.map((b) => b.reason.text)).toEqual([
      expect.stringMatching(
        /^ns1 stops with b, .*: a is closed \(a is drained by this run itself \(wave 1\)\); c runs ns2/,
      ),
    ]);
  });

  test.each<[string, HostInventory, RegExp]>([
    ["that is cordoned", machine("b"), /b is closed \(b is cordoned\)/],
    [
      "without its daemon",
      host("b", [], { migrationUri: "" }, { inventory: { platform: "fleet" } }),
      /b has its fleet stopped/,
    ],
    ["that has libvirt", host("b"), /b has the platform libvirt, not fleet/],
    ["that is not connected", machine("b", [], { connected: false }), /b is closed \(b is not connected/],
    [
      "that holds what it conflicts with",
      machine("b", [unit("y", { conflicts: "[w-y]" })]),
      /b runs y, which it conflicts with/,
    ],
    ["without what it belongs with", machine("b", [unit("z")]), /b does not run disk, which it belongs with/],
  ])("counts no host %s", (name, other, text) => {
    const peers: Record<string, string> = name.includes("belongs") ? { "machine-of": "disk" } : {};
    const because = { rule: "cordoned", subject: "b", text: "b is cordoned", fix: "" };
    const closed = name.includes("cordoned") ? { closed: new Map([["b", because]]) } : {};
    const r = play([machine("a", [unit("x", peers)]), other], [["a"]], closed);
    expect(r.blockers.map((b) => b.reason.text)).toEqual([expect.stringMatching(text)]);
  });

  test("has what belongs together go together", () => {
    const r = play(
      [machine("a", [unit("app", { "machine-of": "disk" }), unit("disk")]), machine("b"), machine("c", [unit("x")])],
      [["a"]],
    );
    expect([r.blockers, places(r)]).toEqual([[], ["app>b", "disk>b"]]);
  });

  test("needs no place for what runs on every host", () => {
    const r = play([machine("a", [unit("log", { global: "true" }, { pinned: "Global=true" })])], [["a"]]);
    expect([r.blockers, r.warnings]).toEqual([[], []]);
  });

  test("names units that are driven off for its sake", () => {
    const r = play([machine("a", [unit("x", { replaces: "v" })]), machine("b", [unit("v")])], [["a"]]);
    expect(r.blockers).toEqual([]);
    expect(r.warnings.map((w) => w.text)).toEqual([
      "v on b is stopped and started elsewhere when x comes there (Replaces)",
    ]);
  });

  test("warns when its units look for places at the same time as what they conflict with", () => {
    const hosts = [
      machine("a", [unit("x", { conflicts: "y" })]),
      machine("b", [unit("y", { machines: "fleet://c" })]),
      machine("c", [unit("v")]),
      machine("d"),
    ];
    const r = play(hosts, [["a", "b"]]);
    expect(places(r)).toEqual(["x>d", "y>c"]);
    expect(r.warnings.map((w) => [w.rule, w.subject])).toEqual([["failover-order", "y"]]);
  });
});

describe("the policy failover", () => {
  const pool = poolOf({}, [{ match: "own-*", policy: "leave" }]);
  test("is the platform's word, which the pool file and the unit's own come before", () => {
    expect(settle(unit("x"), pool).policy).toBe("failover");
    expect(settle(unit("own-x"), pool).policy).toBe("leave");
    expect(settle(unit("own-x", {}, { metadata: { policy: "migrate" } }), pool).policy).toBe("migrate");
    expect(settle(unit("x", {}, { metadata: { "default-policy": "fail-over" } }), pool).problem?.fix).toBe(
      "did you mean failover?",
    );
  });

  test("leaves it to the host's services, whatever is done with the host", () => {
    for (const op of ["reboot", "drain", "hooks"] as const) {
      const found = duties(machine("a", [unit("x"), unit("off", {}, { state: "shutoff" })]), poolOf(), {
        ...plain,
        op,
      });
      expect(found).toMatchObject({
        movers: [],
        stops: [],
        blockers: [],
        warnings: [],
        leaves: [{ name: "x", how: "failover" }],
      });
    }
  });

  test("is refused where the platform does no such thing", () => {
    const vm = instance("vm", { metadata: { policy: "failover" } });
    const { blockers, leaves } = duties(host("hv1", [vm]), poolOf(), plain);
    expect([leaves, blockers.map((b) => b.reason.text)]).toEqual([
      [],
      ["vm: its policy is failover, and libvirt on hv1 starts nothing elsewhere by itself"],
    ]);
    expect(duties(host("hv1", [vm]), poolOf(), { ...plain, consentStop: ["vm"] }).mayStop).toEqual(
      new Set([uuidOf("vm")]),
    );
  });

  test("is proposed for balance, by weight and without what conflicts, but brings nothing back by itself", () => {
    const hosts = [
      machine("a", [unit("x", { weight: "20000", conflicts: "y" }), unit("z", { weight: "18000" }), unit("none")]),
      machine("b", [unit("y", { weight: "2000" })]),
      machine("c", [unit("w", { weight: "16000" })]),
    ];
    const found = rebalance(hosts, poolOf(), { maxMoves: 1 });
    expect(found.moves.map((m) => `${m.name} ${m.from}>${m.to}`)).toEqual(["z a>b"]);
    const back = returnsOf({ host: "b", hosts, pool: poolOf(), mode: "exact", away: [uuidOf("z")] });
    expect(back.refused.map((r) => [r.rule, r.fix])).toEqual([["policy", "see what slipway rebalance proposes"]]);
  });

  test("given up for migrate, a unit goes where fleet would take it", () => {
    const moved = { metadata: { policy: "migrate" } };
    const hosts = [
      machine("a", [unit("x", { machines: "fleet://a fleet://c fleet://d" }, moved)]),
      machine("b"),
      machine("c", [unit("y", { conflicts: "x" })]),
      machine("d"),
    ];
    const question = {
      hosts,
      roles: new Map([["a", { is: "source" } as const]]),
      movers: [{ uuid: uuidOf("x"), from: "a" }],
      pool: poolOf(),
    };
    expect(place(question).moves).toMatchObject([{ to: "d" }]);
    const { blockers } = place({ ...question, hosts: hosts.slice(0, 3) });
    expect(blockers[0]?.reason.text).toContain(
      "b is not among the machines of its unit file; c runs y, which it conflicts with",
    );
  });
});

test.each([
  ["pcocc-vm-ns*.service", "pcocc-vm-ns1.service", true],
  ["pcocc-vm-ns?.service", "pcocc-vm-ns12.service", false],
  ["ns[1-3]", "ns2", true],
  ["ns[^1-3]", "ns2", false],
  ["ns1.service", "ns1xservice", false],
  ["ns1", "ns11", false],
  ["a\\*b", "a*b", true],
  ["[z-a]", "z", false],
  ["[", "[", false],
  ["(a|b)+", "(a|b)+", true],
])("the pattern %s matches %s: %s", (pattern, name, expected) => {
  expect(globMatches(pattern, name)).toBe(expected);
});
