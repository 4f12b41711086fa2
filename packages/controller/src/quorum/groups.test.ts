import type { Instance } from "@slipway/shared";
import { describe, expect, test } from "vitest";
import type { HostInventory } from "../domain/inventory.ts";
import type { GroupConfig } from "../domain/quorum.ts";
import { mayGoOut } from "./gate.ts";
import { type GroupFacts, groupSystem } from "./groups.ts";

const guest = (name: string, state = "running") => ({ uuid: `u-${name}`, name, state }) as unknown as Instance;

function host(name: string, guests: readonly Instance[] = [], change: { connected?: boolean; problem?: string } = {}) {
  const { connected = true, problem = "" } = change;
  return {
    host: name,
    labels: {},
    connected,
    readT: 0,
    inventory: { problem, instances: guests },
  } as unknown as HostInventory;
}

const dns: GroupConfig = {
  name: "dns",
  needed: 2,
  members: ["ns1", "ns2", "ns3"].map((name) => ({ kind: "instance", name })),
};

function facts(inventories: readonly HostInventory[], change: Partial<GroupFacts> = {}): GroupFacts {
  return { inventories, isFresh: () => true, checkOf: () => undefined, out: [], stopsWith: () => true, ...change };
}

const spread = [host("h1", [guest("ns1")]), host("h2", [guest("ns2")]), host("h3", [guest("ns3")])];

describe("instances as members", () => {
  test("one that stops with its host counts, and only one may at a time", () => {
    const system = groupSystem(dns, facts(spread));
    expect(system.state).toBe("healthy");
    expect(mayGoOut([system], { going: ["h1"], out: [] }).verdict).toBe("tight");
    expect(mayGoOut([system], { going: ["h1", "h2"], out: [] }).verdict).toBe("deny");
  });
  test("one that is live-migrated stays up", () => {
    const system = groupSystem(dns, facts(spread, { stopsWith: () => false }));
    expect(mayGoOut([system], { going: ["h1", "h2"], out: [] }).verdict).toBe("ok");
  });
  test("the second does not go before the first answers again", () => {
    const silent = facts(spread, {
      checkOf: (_group, member) =>
        member === "ns1" ? { state: "down", note: "no answer to a query" } : { state: "up", note: "" },
    });
    const { verdict, reasons } = mayGoOut([groupSystem(dns, silent)], { going: ["h2"], out: [] });
    expect(verdict).toBe("deny");
    expect(reasons[0]?.text).toBe("group dns: without ns2 1 of 2 needed votes are left (ns1 down)");
  });
  test.each([
    ["runs twice", [...spread, host("h4", [guest("ns1")])], "it is running on h1 and h4"],
    [
      "is nowhere, and a host cannot be seen",
      [host("h2", [guest("ns2")]), host("h3", [guest("ns3")]), host("h4", [], { problem: "libvirtd is down" })],
      "h4 cannot be seen",
    ],
    [
      "was on a host that is silent",
      [host("h1", [guest("ns1")], { connected: false }), ...spread.slice(1)],
      "h1, where it was, cannot be seen",
    ],
  ])("one that %s is unknown", (_name, inventories, note) => {
    const system = groupSystem(dns, facts(inventories));
    expect(system.state).toBe("unknown");
    expect(system.reasons).toEqual([`ns1 is not known to be up (${note})`]);
    expect(["unknown", "deny"]).toContain(mayGoOut([system], { going: ["h2"], out: [] }).verdict);
  });
  test("one that runs nowhere, or is paused, is down", () => {
    expect(groupSystem(dns, facts(spread.slice(1))).reasons).toEqual(["ns1 is down (it runs nowhere)"]);
    const paused = [host("h1", [guest("ns1", "paused")]), ...spread.slice(1)];
    expect(groupSystem(dns, facts(paused)).reasons).toEqual(["ns1 is down (it is paused)"]);
  });
  test("an old picture is unknown", () => {
    expect(groupSystem(dns, facts(spread, { isFresh: (h) => h.host !== "h1" })).state).toBe("unknown");
  });
});

describe("hosts as members", () => {
  const pair: GroupConfig = {
    name: "storage",
    needed: 1,
    members: ["h1", "h2"].map((name) => ({ kind: "host", name })),
  };
  test("are up while their agents are connected and they are not out", () => {
    const system = groupSystem(pair, facts(spread, { out: ["h2"] }));
    expect(system.reasons).toEqual(["h2 is down (out of service)"]);
    expect(mayGoOut([system], { going: ["h1"], out: ["h2"] }).verdict).toBe("deny");
  });
  test("that are silent are unknown", () => {
    expect(groupSystem(pair, facts([host("h1"), host("h2", [], { connected: false })])).state).toBe("unknown");
    expect(groupSystem(pair, facts([host("h1")])).state).toBe("unknown");
  });
});
