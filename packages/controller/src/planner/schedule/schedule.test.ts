import type { Instance } from "@slipway/shared";
import { describe, expect, test } from "vitest";
import type { HostInventory } from "../../domain/inventory.ts";
import { noQuorum } from "../../domain/quorum.ts";
import type { RunOptions } from "../../domain/words.ts";
import { disk, host, instance, localDisk, poolOf } from "../../testing/instances.ts";
import { optionsOf } from "../plan.ts";
import { type Scheduled, type ScheduleInput, scheduleOf } from "./index.ts";

const GIB = 1024;
const vm = (name: string, gib: number, over: Partial<Instance> = {}) =>
  instance(name, { memoryMib: gib * GIB, ...over });

function ask(
  pictures: readonly HostInventory[],
  options: Partial<RunOptions> = {},
  over: Partial<ScheduleInput> = {},
): Scheduled {
  return scheduleOf({
    hosts: pictures.map((p) => ({ name: p.host, cluster: "c1", state: "in-scope" })),
    inventories: () => pictures,
    pool: poolOf(),
    labels: (name) => pictures.find((p) => p.host === name)?.labels,
    closed: () => undefined,
    options: optionsOf({ order: "free", return: "none", ...options }),
    nowT: 0,
    ...over,
  });
}

function found(scheduled: Scheduled) {
  if (scheduled.kind === "none") throw new Error(scheduled.reasons.map((r) => r.text).join("; "));
  return scheduled.schedule;
}

const reasons = (scheduled: Scheduled) => (scheduled.kind === "none" ? scheduled.reasons.map((r) => r.text) : []);
const moves = (scheduled: Scheduled) => found(scheduled).moves.map((m) => `${m.wave}: ${m.name} ${m.from}>${m.to}`);
const order = (scheduled: Scheduled) => found(scheduled).turns.map((t) => `${t.wave}:${t.host}`);

describe("a schedule", () => {
  test("sends each instance away once where an empty host is there, and names who waits for whom", () => {
    const s = found(ask([host("hv1", [vm("a", 8)]), host("hv2", [vm("b", 8)]), host("hv3")]));
    expect(s.turns.map((t) => [t.host, t.after])).toEqual([
      ["hv3", []],
      ["hv1", ["hv3"]],
      ["hv2", expect.anything()],
    ]);
    expect([s.moves.length, s.floorMoves]).toEqual([2, 2]);
    expect(s.moves.map((m) => m.uuid)).toEqual([instance("a").uuid, instance("b").uuid]);
    expect([s.maxOut, s.maxClusters, s.consentsNeeded]).toEqual([{ c1: 1 }, 1, []]);
    expect(s.expectedMs).toBeLessThanOrEqual(s.p95Ms);
    expect(s.floorMs).toBeLessThanOrEqual(s.expectedMs);
  });

  test("goes on as given where it is asked to", () => {
    const pictures = [host("hv1", [vm("a", 8)]), host("hv2", [vm("b", 8)]), host("hv3")];
    expect(order(ask(pictures, { order: "given" }))).toEqual(["1:hv1", "2:hv2", "3:hv3"]);
    expect(order(ask(pictures, { canary: "hv2" }))[0]).toBe("1:hv2");
  });

  test("has an instance that is on its way to a host to come go on from there", () => {
    const pictures = [host("hv1", [vm("a", 8, { job: "migration" })]), host("hv2"), host("hv3")];
    const hosts = pictures.map(({ host: name }) => ({
      ...{ name, cluster: "c1" },
      state: name === "hv1" ? ("out" as const) : ("in-scope" as const),
    }));
    const onTheWay = new Map([[instance("a").uuid, "hv2"]]);
    expect(moves(ask(pictures, { maxOut: 2 }, { hosts, onTheWay }))).toEqual([
      expect.stringMatching(/: a hv2>hv[13]$/),
    ]);
  });

  test("has hosts that are alike in the natural order of their names", () => {
    expect(order(ask([host("hv10"), host("hv9"), host("hv1")]))).toEqual(["1:hv1", "2:hv9", "3:hv10"]);
  });

  test("keeps to what may be out at once: of a cluster, by share, by label, of groups", () => {
    const rack = (n: number) => ({ labels: { rack: `r${n % 2}` } });
    const pictures = Array.from({ length: 8 }, (_, i) => ({ ...host(`hv${i}`), ...rack(i) }));
    const waves = (options: Partial<RunOptions>, over: Partial<ScheduleInput> = {}) =>
      Math.max(...found(ask(pictures, options, over)).turns.map((t) => t.wave));
    expect(waves({ maxOut: 4 })).toBe(2);
    expect(waves({ maxOutPercent: 30 })).toBe(4);
    expect(waves({ maxOut: 8, domainLimits: [{ label: "rack", maxHosts: 1 }] })).toBe(4);
    expect(found(ask(pictures, { maxOut: 8, domainLimits: [{ label: "rack", percent: 50 }] })).domains).toEqual([
      { label: "rack", value: "r0", maxHosts: 2 },
      { label: "rack", value: "r1", maxHosts: 2 },
    ]);
    const members = ["hv0", "hv1", "hv2"].map((name) => ({ kind: "host" as const, name }));
    const quorum = { ...noQuorum, groups: [{ name: "dns", members, needed: 2 }] };
    expect(waves({ maxOut: 8 }, { quorum })).toBe(3);
  });

  test("goes by what instances and hosts are, not only by room", () => {
    const shared = (name: string) => vm(name, 2, { disks: [disk("vda", { sharedAs: "nfs:x:/images" })] });
    const pictures = [host("hv1", [shared("a")]), host("hv2"), host("hv3")];
    // None but hv1 reaches the storage.
    expect(reasons(ask(pictures))).toEqual(["a on hv1: no other host could run it, even if it were empty"]);
    const apart = (name: string) => vm(name, 2, { metadata: { apart: "db" } });
    expect(moves(ask([host("hv1", [apart("a")]), host("hv2", [apart("b")]), host("hv3")]))).toEqual([
      "2: a hv1>hv3",
      "3: b hv2>hv1",
    ]);
  });

  test("moves nothing onto hosts that are closed, have no platform or were drained", () => {
    const pictures = [host("hv1", [vm("a", 2)]), host("hv2"), host("hv3")];
    const closed = (name: string) =>
      name === "hv2" ? { rule: "cordoned", subject: name, text: `${name} is cordoned`, fix: "" } : undefined;
    const onto = (s: Scheduled) => found(s).moves.map((m) => m.to);
    expect(onto(ask(pictures, { order: "given" }, { closed }))).toEqual(["hv3", "hv1"]);
    const bare = { ...host("hv2"), inventory: { ...host("hv2").inventory, platform: "none" } };
    expect(onto(ask([...pictures.slice(0, 1), bare, ...pictures.slice(2)], { order: "given" }))).toEqual([
      "hv3",
      "hv1",
    ]);
    const scope = { hosts: ["hv1", "hv2"].map((name) => ({ name, cluster: "c1", state: "in-scope" as const })) };
    expect(onto(ask(pictures, { op: "drain", maxOut: 2 }, scope))).toEqual(["hv3"]);
  });

  test("stops by policy, by consent where nothing else helps, and says which consents are missing", () => {
    const pinned = vm("a", 2, { devices: [{ kind: "pci", name: "0000:01:00.0" }] });
    expect(found(ask([host("hv1", [pinned]), host("hv2")])).consentsNeeded).toEqual(["a"]);
    expect(found(ask([host("hv1", [pinned]), host("hv2")], { consentStop: ["a"] })).consentsNeeded).toEqual([]);
    const big = [host("hv1", [vm("a", 12)]), host("hv2", [vm("b", 12)])];
    const refused = ask(big);
    expect(refused.kind === "none" && refused.relaxations.map((r) => r.fix)).toContain(
      "--consent-stop a --consent-stop b",
    );
    expect(moves(ask(big, { consentStop: ["a", "b"] }))).toEqual([]);
    const transient = ask([host("hv1", [vm("a", 12, { persistent: false })]), host("hv2", [vm("b", 12)])]);
    expect(transient.kind === "none" && transient.relaxations.map((r) => r.rule)).not.toContain("relax-stop");
    const local = vm("a", 2, { disks: [localDisk("vda")], metadata: { policy: "shutdown-restart" } });
    expect(moves(ask([host("hv1", [local]), host("hv2")]))).toEqual([]);
  });

  test("plans the rest of a run: hosts that are over and out take their part", () => {
    const pictures = [host("hv1", [vm("a", 8), vm("c", 4)]), host("hv2"), host("hv3", [vm("b", 8)])];
    const hosts = [
      { name: "hv1", cluster: "c1", state: "in-scope" as const },
      { name: "hv2", cluster: "c1", state: "out" as const, awayMs: 60_000 },
      { name: "hv3", cluster: "c1", state: "done" as const },
    ];
    const s = found(ask(pictures, {}, { hosts }));
    expect(s.turns.map((t) => [t.host, t.startMs > 0])).toEqual([["hv1", true]]);
    const onTheWay = new Map([[instance("c").uuid, "hv3"]]);
    expect(found(ask(pictures, {}, { hosts, onTheWay })).moves.map((m) => m.name)).toEqual(["a"]);
  });

  test("is not made out of what nobody knows", () => {
    const away = { ...host("hv1", [vm("a", 8)]), connected: false };
    expect(reasons(ask([away, host("hv2")]))).toEqual(["hv1 is not connected, so what runs there is not known"]);
    expect(reasons(ask([host("hv2")], {}, { hosts: [{ name: "hv9", cluster: "c1", state: "in-scope" }] }))).toEqual([
      "hv9 has never told what runs there",
    ]);
  });

  test("brings instances home after their host's turn", () => {
    const home = (name: string, to: string) => vm(name, 8, { metadata: { home: to } });
    const s = found(ask([host("hv1", [home("a", "hv1")]), host("hv2"), host("hv3")], { return: "preferred" }));
    expect(s.moves.map((m) => `${m.kind} ${m.name} ${m.from}>${m.to}`)).toEqual([
      "drain a hv1>hv2",
      "return a hv2>hv1",
    ]);
  });
});
