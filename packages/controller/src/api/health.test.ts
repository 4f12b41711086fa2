import type { agentWire } from "@slipway/shared/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type OperatorClient, until, World } from "../testing/world.ts";

const BOUNDS = { deadlineMs: 10_000 };
let world: World;
let alice: OperatorClient;
/** State of each host's member of etcd; a host that is not named cannot read it. */
let etcd: Record<string, "up" | "down">;

beforeEach(async () => {
  world = await World.make();
  alice = await world.client("operator", "alice");
  etcd = { hv1: "up", hv2: "up", hv3: "up" };
  const names = ["hv1", "hv2", "hv3", "hv4"];
  await Promise.all(names.map((name) => world.agent(name, { answer: (start) => answer(name, start) })));
  await until("their connection", () => names.every((n) => world.controller.registry.host(n)?.connected));
});
afterEach(async () => {
  await world.end();
});

function answer(host: string, { spec }: agentWire.StartStep) {
  if (spec.case !== "probe") return {};
  const { system } = spec.value;
  if (system !== "etcd" || etcd[host] === undefined)
    return { health: { system, state: "unknown", reasons: [`${system} is not installed`] } };
  const members = Object.entries(etcd).map(([name, state], n) => ({ name, host: `10.0.0.${n + 1}`, votes: 1, state }));
  const isWell = members.every((m) => m.state === "up");
  return {
    health: {
      ...{
        system,
        identity: "e1",
        state: isWell ? "healthy" : "degraded",
        reasons: isWell ? [] : ["a member is down"],
      },
      ...{ sets: [{ name: "members", needed: 2, members }], evidence: [{ asked: "etcdctl member list", answer: "3" }] },
    },
  };
}

const applied = async () => {
  const aliases = "aliases: { 10.0.0.1: hv1, 10.0.0.2: hv2, 10.0.0.3: hv3 }";
  const text = `probes: [{ name: main, system: etcd, from: [hv1, hv2, hv3], ${aliases} }]\n`;
  await alice.applyPool({ file: "pool.yaml", text }, BOUNDS);
};
const check = (request: Parameters<OperatorClient["checkHealth"]>[0] = {}) => alice.checkHealth(request, BOUNDS);

test("reads every system from all hosts that can, and judges every host", async () => {
  await applied();
  const { systems, hosts, safeSet } = await check();
  expect(systems).toMatchObject([
    {
      name: "main",
      kind: "etcd",
      state: "healthy",
      seenFrom: ["hv1", "hv2", "hv3"],
      sets: [{ up: 3, margin: 1 }],
      views: [],
    },
  ]);
  expect(hosts.map((h) => [h.host, h.verdict])).toEqual([
    ["hv1", "tight"],
    ["hv2", "tight"],
    ["hv3", "tight"],
    ["hv4", "ok"],
  ]);
  expect(safeSet).toEqual(["hv1", "hv4"]);
});

test("tells who is out, what broke, and what came back, when asked", async () => {
  await applied();
  etcd["hv3"] = "down";
  await alice.setCordon({ host: "hv2", cordoned: true }, BOUNDS);
  const { systems, hosts } = await check({ evidence: true });
  expect(systems[0]).toMatchObject({ state: "degraded", seenFrom: ["hv1", "hv3"] });
  expect(systems[0]?.views[0]?.evidence).toMatchObject([{ asked: "etcdctl member list", answer: "3" }]);
  // With two of three gone nothing goes any more, wherever it is.
  expect(hosts.map((h) => h.verdict)).toEqual(["deny", "out", "deny", "deny"]);
});

test("can be narrowed to a host or a system, and names what there is when there is no such one", async () => {
  await applied();
  expect(await check({ host: "hv4" })).toMatchObject({ systems: [], hosts: [{ host: "hv4", verdict: "ok" }] });
  expect((await check({ host: "hv1" })).systems).toHaveLength(1);
  await expect(check({ system: "mian" })).rejects.toThrow("did you mean main?");
  await expect(check({ cluster: "c9" })).rejects.toThrow("no host is in it");
  await expect(check({ host: "hv9" })).rejects.toMatchObject({ code: "not-found" });
});

test("a plan warns of what the gate would say now, and why says it too", async () => {
  await applied();
  etcd["hv3"] = "down";
  const { plan } = await alice.plan({ scope: { hosts: ["hv1", "hv4"] } }, BOUNDS);
  expect(plan?.warnings.filter((w) => w.rule.startsWith("gate-"))).toMatchObject([
    { rule: "gate-deny", subject: "hv1" },
  ]);
  const { reasons } = await alice.whyHost({ host: "hv1" }, BOUNDS);
  expect(reasons.map((r) => r.text)).toContainEqual(expect.stringMatching(/^hv1 could not go down now: main: /));
  expect((await alice.whyHost({ host: "hv4" }, BOUNDS)).reasons.map((r) => r.rule)).toEqual(["in-service"]);
});

test("a plan takes out together only what every system that was read can spare", async () => {
  const waves = async () => {
    const { plan } = await alice.plan({ scope: { hosts: ["hv1", "hv2", "hv3"] }, options: { maxOut: 3 } }, BOUNDS);
    return plan?.schedule?.turns.map((t) => t.wave);
  };
  expect(await waves()).toEqual([1, 1, 1]);
  await applied();
  expect(await waves()).toEqual([1, 2, 3]);
});

test("discovery proposes what several hosts see as one system, and knows what the pool file has already", async () => {
  const found = await alice.discoverSystems({}, BOUNDS);
  expect(found).toMatchObject({
    asked: ["hv1", "hv2", "hv3", "hv4"],
    unclear: [],
    systems: [
      {
        ...{ name: "etcd", system: "etcd", from: ["hv1", "hv2", "hv3"], unplaced: [], knownAs: "" },
        aliases: { "10.0.0.1": "hv1", "10.0.0.2": "hv2", "10.0.0.3": "hv3" },
      },
    ],
  });
  await applied();
  expect((await alice.discoverSystems({}, BOUNDS)).systems).toMatchObject([{ knownAs: "main" }]);
  await expect(alice.discoverSystems({ cluster: "c9" }, BOUNDS)).rejects.toThrow('no connected host in cluster "c9"');
});
