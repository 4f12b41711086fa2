import type { Instance } from "@slipway/shared";
import { describe, expect, test } from "vitest";
import type { HostInventory } from "../domain/inventory.ts";
import { host, instance, localDisk, poolOf } from "../testing/instances.ts";
import { rebalance } from "./index.ts";

/** An instance of this weight; 1 GiB like all of them. */
const vm = (name: string, weight: number, over: Partial<Instance> = {}) =>
  instance(name, { ...over, metadata: { weight: String(weight), ...over.metadata } });
const balance = (hosts: readonly HostInventory[], options: Partial<Parameters<typeof rebalance>[2]> = {}) =>
  rebalance(hosts, poolOf(), { maxMoves: 10, ...options });
const moves = (r: ReturnType<typeof balance>) => r.moves.map((m) => `${m.name} ${m.from}>${m.to}`);

describe("balance", () => {
  test("of a cluster after hosts were out: heaviest to lightest, until the spread is small enough", () => {
    const host_ = (name: string, ...weights: number[]) =>
      host(
        name,
        weights.map((w, i) => vm(`${name}-${i}`, w)),
      );
    const hosts = [
      host_("top1", 10_000, 10_000),
      host_("top2", 12_000, 12_000),
      host_("top3", 10_000, 10_000),
      host_("worker1", 10_000, 10_000),
      host_("worker2", 10_000, 20_000, 10_000, 8000, 10_000),
      host_("worker3", 10_000, 10_000, 10_000, 10_000, 10_000),
    ];
    const r = balance(hosts, { spread: 0.3 });
    expect(r.loads.map((l) => [l.host, l.before])).toEqual([
      ["top1", 20_000],
      ["top2", 24_000],
      ["top3", 20_000],
      ["worker1", 20_000],
      ["worker2", 58_000],
      ["worker3", 50_000],
    ]);
    expect(r.spread.before).toBeCloseTo(38_000 / 32_000);
    expect(r.spread.after).toBeLessThanOrEqual(0.3);
    expect(r.moves.length).toBeLessThanOrEqual(5);
    for (const l of r.loads) expect(l.after).toBeLessThanOrEqual(32_000 * 1.2);
    expect(r.loads.reduce((s, l) => s + l.after, 0)).toBe(192_000);
    expect(balance([...hosts].reverse(), { spread: 0.3 })).toEqual(r);
  });

  test("makes no more moves than allowed, and none when there is nothing to even out", () => {
    const hosts = [host("hv1", [vm("a", 5), vm("b", 5), vm("c", 5), vm("d", 5)]), host("hv2")];
    expect(moves(balance(hosts))).toEqual(["a hv1>hv2", "b hv1>hv2"]);
    expect(moves(balance(hosts, { maxMoves: 1 }))).toEqual(["a hv1>hv2"]);
    expect(moves(balance([host("hv1", [vm("a", 5)]), host("hv2", [vm("b", 5)])]))).toEqual([]);
    expect(moves(balance([host("hv1"), host("hv2")]))).toEqual([]);
    expect(moves(balance([]))).toEqual([]);
  });

  test("prefers what is cheap to move, and of the less important tier", () => {
    const large = (name: string, gib: number, tier = 0) =>
      vm(name, 5, { memoryMib: gib * 1024, metadata: { tier: String(tier) } });
    const one = (...vms: Instance[]) => moves(balance([host("hv1", vms), host("hv2")], { maxMoves: 1 }));
    expect(one(large("a", 8), large("b", 2))).toEqual(["b hv1>hv2"]);
    expect(one(large("a", 2), large("b", 2, 1))).toEqual(["b hv1>hv2"]);
  });

  test("never loads a target beyond a fifth above the mean", () => {
    const r = balance([host("hv1", [vm("a", 9), vm("b", 1)]), host("hv2")]);
    expect(moves(r)).toEqual(["b hv1>hv2"]);
    expect(r.refused.map((x) => [x.subject, x.rule])).toEqual([["a", "too-heavy"]]);
  });

  test.each<[string, Partial<Instance>, string, string]>([
    ["policy", { metadata: { policy: "leave" } }, "policy", "a stays on hv1: its policy is leave"],
    [
      "words that are not known",
      { metadata: { policy: "?" } },
      "instance-metadata",
      'a: its metadata says policy "?", which is not known',
    ],
    ["pin", { pinned: "rule" }, "pinned", "a stays on hv1: it is pinned to it by its platform (rule)"],
    ["pause", { state: "paused" }, "instance-state", "a stays on hv1: it is paused"],
    ["work in hand", { job: "saving" }, "busy", "a stays on hv1: it is saving just now"],
    ["home", { metadata: { home: "hv1" } }, "at-home", "a stays on hv1: it is at home there"],
    ["disk", { disks: [localDisk("vda")] }, "no-target", "a stays on hv1: no lighter host can take it"],
    ["group", { metadata: { group: "web" } }, "group", "a stays on hv1: it belongs with b (group web)"],
  ])("leaves an instance for its %s, and says so", (_name, over, rule, text) => {
    const mate = vm("b", 1, { metadata: { group: "web", policy: "leave" } });
    const r = balance([host("hv1", [vm("a", 5, over), mate, vm("c", 5)]), host("hv2")]);
    expect(moves(r)).toEqual(["c hv1>hv2"]);
    expect(r.refused.find((x) => x.subject === "a")).toMatchObject({ rule, text });
  });

  test("never moves one that is kept apart while another of them is down", () => {
    const dns = { metadata: { apart: "dns" } };
    const hosts = (state: string) => [
      host("hv1", [vm("ns1", 5, dns), vm("x", 5, { metadata: { policy: "leave" } })]),
      host("hv2"),
      host("hv3", [vm("ns2", 5, { ...dns, state }), vm("y", 1)]),
    ];
    expect(moves(balance(hosts("running")))).toEqual(["ns1 hv1>hv2"]);
    const r = balance(hosts("shutoff"));
    expect(moves(r)).toEqual([]);
    expect(r.refused.find((x) => x.subject === "ns1")).toMatchObject({
      rule: "member-down",
      text: "ns1 stays on hv1: ns2, of the same group dns, is down",
      fix: "start ns2",
    });
    const [first, second, third] = hosts("shutoff");
    if (!first || !second || !third) throw new Error("three hosts");
    expect(moves(balance([first, second], { others: [third] }))).toEqual([]);
  });

  test("does not bring together what is kept apart, nor more than there is room for", () => {
    const dns = { metadata: { apart: "dns" } };
    const apart = [host("hv1", [vm("ns1", 5, dns), vm("x", 9, { pinned: "rule" })]), host("hv2", [vm("ns2", 1, dns)])];
    expect(moves(balance(apart))).toEqual([]);
    const full = [
      host("hv1", [vm("a", 5), vm("b", 5)]),
      host("hv2", [vm("c", 1, { memoryMib: 16_384, memoryMaxMib: 16_384 })]),
    ];
    expect(moves(balance(full))).toEqual([]);
  });

  test("counts instances without a weight by their memory", () => {
    const r = balance([host("hv1", [instance("a"), instance("b")]), host("hv2")]);
    expect(moves(r)).toEqual(["a hv1>hv2"]);
    expect(r.loads[0]).toEqual({ host: "hv1", before: 2048, after: 1024 });
  });

  test("does not make the target heavier than the source was", () => {
    expect(moves(balance([host("hv1", [vm("a", 4), vm("b", 8)]), host("hv2", [vm("c", 8)])]))).toEqual([]);
  });
});
