import type { Instance } from "@slipway/shared";
import { describe, expect, test } from "vitest";
import type { HostInventory } from "../domain/inventory.ts";
import { host, instance, poolOf, uuidOf } from "../testing/instances.ts";
import { type RehearsalOptions, rehearse } from "./index.ts";

const GIB = 1024;
const vm = (name: string, gib: number, over: Partial<Instance> = {}) =>
  instance(name, { memoryMib: gib * GIB, ...over });
const policy = (word: string) => ({ metadata: { policy: word } });

const plain: RehearsalOptions = { nowT: 0, consentStop: [], op: "reboot", reboot: "always", return: "none" };
const play = (
  hosts: readonly HostInventory[],
  over: Partial<RehearsalOptions> = {},
  waves = hosts.map((h) => [h.host]),
  pool = poolOf(),
) => rehearse(hosts, waves, { ...plain, ...over }, pool);
/** "a hv1>hv2", by host. */
const paths = (r: ReturnType<typeof play>) =>
  Object.fromEntries(
    r.hosts.map((t) => [t.host, [...t.moves, ...t.returns].map((m) => `${m.name} ${m.from}>${m.to}`)]),
  );

describe("a run played through", () => {
  test("goes on from where each wave has left the instances", () => {
    const r = play([host("hv1", [vm("a", 8)]), host("hv2", [vm("b", 8)]), host("hv3")]);
    expect(r.blockers).toEqual([]);
    expect(paths(r)).toEqual({ hv1: ["a hv1>hv3"], hv2: ["b hv2>hv1"], hv3: ["a hv3>hv1"] });
    expect([r.moves, r.floor]).toEqual([3, 2]);
  });

  test("reaches the floor when a host is empty and its turn is first", () => {
    const r = play([host("hv1"), host("hv2", [vm("a", 8), vm("b", 8)]), host("hv3", [vm("c", 8), vm("d", 8)])]);
    expect(r.blockers).toEqual([]);
    expect([r.moves, r.floor]).toEqual([4, 4]);
  });

  test("finds what a look at the first wave would not", () => {
    // hv1 can be emptied onto hv2 and hv3, but neither of those onto the other two.
    const hosts = [
      host("hv1", [vm("a", 4)], { memoryMib: 4 * GIB }),
      host("hv2", [vm("b", 12)]),
      host("hv3", [vm("c", 12)]),
    ];
    const r = play(hosts);
    expect(r.blockers.map((b) => [b.host, b.name])).toEqual([
      ["hv2", "b"],
      ["hv3", "c"],
    ]);
  });

  test("has hosts of one wave out together", () => {
    const hosts = [host("hv1", [vm("a", 8)]), host("hv2", [vm("b", 8)]), host("hv3", [vm("c", 8)])];
    expect(play(hosts).blockers).toEqual([]);
    const together = play(hosts, {}, [["hv1", "hv2"], ["hv3"]]);
    expect(together.blockers.map((b) => b.host)).toEqual(["hv1"]);
    expect(together.hosts.map((t) => [t.host, t.wave])).toEqual([
      ["hv1", 1],
      ["hv2", 1],
      ["hv3", 2],
    ]);
  });

  test("does not touch what it was given", () => {
    const hosts = [host("hv1", [vm("a", 8)]), host("hv2")];
    const before = structuredClone(hosts);
    play(hosts, { return: "exact" });
    expect(hosts).toEqual(before);
  });
});

describe("policies", () => {
  test("that stop an instance keep its room for it at its host", () => {
    const hosts = [
      host("hv1", [vm("a", 12, policy("shutdown-restart")), vm("b", 2, policy("managed-save"))]),
      host("hv2", [vm("c", 12)]),
    ];
    const r = play(hosts);
    expect(r.hosts[0]).toMatchObject({
      moves: [],
      stops: [
        { name: "a", how: "shutdown-restart", because: { text: "a: its policy is shutdown-restart" } },
        { name: "b", how: "managed-save" },
      ],
    });
    expect(r.blockers.map((b) => b.reason.text)).toEqual(["c (12 GiB) fits on none of hv1: hv1 has 2 GiB left"]);
  });

  test.each([
    [{ op: "reboot" }, 1],
    [{ op: "hooks", reboot: "always" }, 1],
    [{ op: "hooks", reboot: "if-asked" }, 0],
    [{ op: "drain", reboot: "if-asked" }, 0],
  ] as const)("leave: %j", (options, blockers) => {
    const r = play([host("hv1", [vm("a", 1, policy("leave"))]), host("hv2")], options, [["hv1"]]);
    expect(r.blockers.map((b) => b.reason)).toMatchObject(
      Array.from({ length: blockers }, () => ({
        rule: "left-running",
        text: "a is left running on hv1 by its policy, and hv1 is to be rebooted",
        fix: "give it another policy, consent to stop it: --consent-stop a, or leave hv1 out",
      })),
    );
    expect(r.hosts[0]?.leaves).toHaveLength(1 - blockers);
    expect(r.hosts[0]?.moves).toEqual([]);
  });

  test("leave does not matter for what is off", () => {
    const r = play([host("hv1", [vm("a", 1, { ...policy("leave"), state: "shutoff" })]), host("hv2")]);
    expect(r.blockers).toEqual([]);
    expect(r.hosts[0]).toMatchObject({ moves: [], leaves: [], stops: [] });
  });

  test("with consent what was to be left is stopped", () => {
    const r = play([host("hv1", [vm("a", 1, policy("leave"))]), host("hv2")], { consentStop: ["a"] });
    expect(r.blockers).toEqual([]);
    expect(r.hosts[0]?.stops).toMatchObject([{ name: "a", how: "shutdown-restart", because: { rule: "consent" } }]);
  });

  test.each<[string, Partial<Instance>, string]>([
    ["shutdown-restart", { persistent: false }, "a on hv1 is transient: it would be gone once it stops"],
    ["shutdown-restart", { state: "paused" }, "a on hv1 is paused and cannot be shut down by its own system"],
    ["managed-save", { state: "crashed" }, "a on hv1 is crashed and cannot be saved"],
    [
      "managed-save",
      { devices: [{ kind: "pci", name: "x" }] },
      "a on hv1 holds devices of the host and cannot be saved",
    ],
  ])("%s of one that cannot be stopped well: %j", (word, over, text) => {
    const r = play([host("hv1", [vm("a", 1, { ...policy(word), ...over })]), host("hv2")]);
    expect(r.blockers.map((b) => b.reason.text)).toEqual([text]);
    expect(r.hosts[0]?.stops).toEqual([]);
  });

  test("that are not known block, and are never guessed", () => {
    const r = play([host("hv1", [vm("a", 1, policy("stop"))]), host("hv2")]);
    expect(r.blockers.map((b) => b.reason.rule)).toEqual(["instance-metadata"]);
    expect(r.moves).toBe(0);
  });
});

describe("consent", () => {
  const gpu = { devices: [{ kind: "pci", name: "0000:3b:00.0" }] };

  test("stops what cannot move, right at its host's turn", () => {
    const hosts = [host("hv1", [vm("a", 1, gpu), vm("b", 1)]), host("hv2")];
    expect(play(hosts).blockers.map((b) => b.name)).toEqual(["a"]);
    const r = play(hosts, { consentStop: ["a", "b"] });
    expect(r.blockers).toEqual([]);
    expect(r.hosts[0]).toMatchObject({
      moves: [{ name: "b", to: "hv2" }],
      stops: [{ name: "a", how: "shutdown-restart", because: { rule: "passthrough-device" } }],
    });
  });

  test("to stop what is not there is pointed out", () => {
    const r = play([host("hv1", [vm("web1", 1)]), host("hv2")], { consentStop: ["web2"] });
    expect(r.warnings).toMatchObject([{ rule: "unknown-instance", fix: "did you mean web1?" }]);
  });
});

describe("returns", () => {
  const hosts = () => [
    host("hv1", [vm("a", 2, { metadata: { home: "hv1" } }), vm("b", 3)]),
    host("hv2"),
    host("hv3", [vm("x", 8)]),
  ];

  test.each([
    ["none", []],
    ["preferred", ["a"]],
    ["exact", ["b", "a"]],
  ] as const)("%s", (mode, names) => {
    const r = play(hosts(), { return: mode }, [["hv1"]]);
    expect(r.hosts[0]?.returns.map((m) => m.name)).toEqual(names);
    expect(r.hosts[0]?.returns.every((m) => m.to === "hv1")).toBe(true);
    expect([r.moves, r.floor]).toEqual([2 + names.length, 2]);
  });

  test("do not go to a host that stays drained, or cordoned by an operator", () => {
    const drained = play(hosts(), { return: "exact", op: "drain", reboot: "if-asked" }, [["hv1"]]);
    expect(drained.hosts[0]?.returns).toEqual([]);
    const because = { rule: "cordoned", subject: "hv1", text: "hv1 is cordoned by an operator", fix: "" };
    const cordoned = play(hosts(), { return: "exact", closed: new Map([["hv1", because]]) }, [["hv1"]]);
    expect(cordoned.hosts[0]?.returns).toEqual([]);
  });
});

describe("hosts", () => {
  test("that a drain has emptied take nothing any more", () => {
    const hosts = [host("hv1", [vm("a", 1)]), host("hv2", [vm("b", 1)])];
    expect(play(hosts).blockers).toEqual([]);
    const r = play(hosts, { op: "drain", reboot: "if-asked" });
    expect(r.blockers.map((b) => b.reason.text)).toEqual([
      "a (1 GiB) fits on none of hv1: hv1 is drained by this run itself (wave 1)",
      "b (1 GiB) fits on none of hv1: hv1 is drained by this run itself (wave 1)",
    ]);
  });

  test("of which nothing certain is known block their turn, and take nothing", () => {
    const hosts = [host("hv1", [vm("a", 1)], {}, { readT: -100_000 }), host("hv2", [vm("b", 1)])];
    const r = play(hosts, {}, [["hv1"], ["hv2"], ["hv9"]]);
    expect(r.blockers.map((b) => [b.host, b.reason.rule])).toEqual([
      ["hv1", "stale-picture"],
      ["hv2", "no-target"],
      ["hv9", "no-picture"],
    ]);
  });

  test("whose turn is over are targets before others", () => {
    const hosts = [host("hv1"), host("hv2", [vm("a", 1)]), host("hv3")];
    expect(paths(play(hosts, { done: new Set(["hv3"]) }, [["hv2"]]))).toEqual({ hv2: ["a hv2>hv3"] });
  });

  test("count what is on its way", () => {
    const hosts = [host("hv1", [vm("a", 10), vm("b", 10)]), host("hv2"), host("hv3")];
    const inFlight = [{ instance: vm("a", 10), from: "hv1", to: "hv2" }];
    const r = play(hosts, { inFlight }, [["hv1"]]);
    expect(paths(r)).toEqual({ hv1: ["b hv1>hv3"] });
  });

  test("keep room for what was stopped and comes back", () => {
    const off = vm("x", 10, { state: "shutoff" });
    const hosts = [host("hv1", [vm("a", 10)]), host("hv2", [off])];
    expect(play(hosts, {}, [["hv1"]]).blockers).toEqual([]);
    expect(play(hosts, { comingBack: new Set([uuidOf("x")]) }, [["hv1"]]).blockers).toHaveLength(1);
  });

  test("keep what was stopped and comes back as it is in their own turn", () => {
    const off = vm("x", 2, { ...policy("leave"), state: "shutoff" });
    const r = play([host("hv1", [off, vm("a", 1)]), host("hv2")], { comingBack: new Set([off.uuid]) }, [["hv1"]]);
    expect(r.blockers).toEqual([]);
    expect(r.hosts[0]).toMatchObject({ moves: [{ name: "a" }], stops: [], leaves: [] });
  });
});

describe("a schedule's moves", () => {
  const move = (name: string, from: string, to: string, wave: number, kind: "drain" | "make-room" = "drain") => ({
    ...{ uuid: uuidOf(name), name, from, to, wave, kind },
  });

  test("are made where the rules allow it, and another way is found where not", () => {
    const hosts = [host("hv1", [vm("a", 4), vm("b", 4)]), host("hv2"), host("hv3", [], { bridges: [] })];
    const scheduled = [move("a", "hv1", "hv2", 1), move("b", "hv1", "hv3", 1)];
    expect(paths(play(hosts, { scheduled }, [["hv1"]]))["hv1"]).toEqual(["a hv1>hv2", "b hv1>hv2"]);
  });

  test("make room before the drains of their wave, within the rules", () => {
    const hosts = [host("hv1", [vm("a", 12)]), host("hv2", [vm("b", 8)]), host("hv3", [vm("c", 8)])];
    expect(play(hosts, {}, [["hv1"]]).blockers.map((b) => b.name)).toEqual(["a"]);
    const made = play(hosts, { scheduled: [move("b", "hv2", "hv3", 1, "make-room")] }, [["hv1"]]);
    expect([made.blockers, made.moves, made.floor]).toEqual([[], 2, 1]);
    expect(made.makeRoom).toMatchObject([{ name: "b", from: "hv2", to: "hv3", wave: 1 }]);
    expect(paths(made)["hv1"]).toEqual(["a hv1>hv2"]);
    const paused = [hosts[0], host("hv2", [vm("b", 8, { state: "paused" })]), hosts[2]] as HostInventory[];
    const refused = play(paused, { scheduled: [move("b", "hv2", "hv3", 1, "make-room")] }, [["hv1"]]);
    expect([refused.makeRoom, refused.blockers.map((b) => b.name)]).toEqual([[], ["a"]]);
  });
});
