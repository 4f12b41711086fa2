import type { SystemHealth } from "@slipway/shared";
import { expect, test } from "vitest";
import type { HostInventory } from "../domain/inventory.ts";
import { noQuorum, type ProbeConfig, type QuorumConfig } from "../domain/quorum.ts";
import { type ProbeRequest, unknownHealth } from "../fleet/probes.ts";
import { QuorumGate } from "./quorum-gate.ts";

const probe: ProbeConfig = {
  name: "etcd-main",
  system: "etcd",
  from: ["h1", "h2", "h3"],
  views: 2,
  settings: { endpoint: "https://127.0.0.1:2379" },
  aliases: { "10.0.0.3": "h3" },
  outside: [],
  timeoutMs: 1_000,
};

const healthy = (change: Partial<SystemHealth> = {}): SystemHealth => ({
  ...unknownHealth("etcd", ""),
  state: "healthy",
  reasons: [],
  sets: [
    {
      name: "members",
      needed: 2,
      members: ["h1", "h2.example.org", "10.0.0.3"].map((host, i) => ({
        name: `m${i + 1}`,
        host,
        votes: 1,
        state: "up",
        roles: [],
        note: "",
      })),
      oneOf: [],
      repairing: "",
    },
  ],
  ...change,
});

function gate(
  answers: (r: ProbeRequest) => SystemHealth,
  change: {
    out?: string[];
    silent?: string[];
    config?: Partial<QuorumConfig>;
    instances?: Record<string, object>;
  } = {},
) {
  const asked: ProbeRequest[] = [];
  const inventories = ["h1", "h2", "h3"].map(
    (host) =>
      ({
        host,
        labels: {},
        connected: !change.silent?.includes(host),
        readT: 0,
        inventory: { problem: "", instances: [change.instances?.[host] ?? []].flat() },
      }) as unknown as HostInventory,
  );
  const subject = new QuorumGate({
    config: () => ({ ...noQuorum, probes: [probe], ...change.config }),
    read: async (request) => {
      asked.push(request);
      return answers(request);
    },
    inventories: () => inventories,
    isFresh: () => true,
    out: () => change.out ?? [],
    stopsWith: () => true,
    pause: async () => {},
  });
  return { subject, asked };
}

test("asks those who stay, and knows members by name, by full name and by address", async () => {
  const { subject, asked } = gate(() => healthy());
  expect((await subject.mayGo(["h1"], [])).verdict).toBe("tight");
  expect(asked.map((r) => [r.host, r.going])).toEqual([
    ["h2", ["h1"]],
    ["h3", ["h1"]],
  ]);
});

test("a host that another run has out counts, and is not asked", async () => {
  const { subject, asked } = gate(() => healthy(), { out: ["h2"] });
  const { verdict } = await subject.mayGo(["h1"], []);
  expect(verdict).toBe("deny");
  expect(asked.map((r) => r.host)).toEqual(["h3", "h1"]);
});

test("too few hosts that can be asked are a no", async () => {
  const { subject } = gate(() => healthy(), { silent: ["h2", "h3"] });
  const { verdict, reasons } = await subject.mayGo(["h1"], []);
  expect(verdict).toBe("unknown");
  expect(reasons[0]?.text).toMatch(/it can be read from 1 of 2 hosts only; h2, h3 cannot be asked/);
});

test("one view that cannot be read is a no", async () => {
  const { subject } = gate((r) => (r.host === "h3" ? unknownHealth("etcd", "no answer within 6000 ms") : healthy()));
  expect((await subject.mayGo(["h1"], [])).verdict).toBe("unknown");
});

test("a system's own no counts", async () => {
  const { subject } = gate(() => healthy({ goingVerdict: "deny", goingReasons: ["12 PGs would become inactive"] }));
  expect((await subject.mayGo(["h1"], [])).verdict).toBe("deny");
});

test("without probes and groups there is nothing to ask", async () => {
  const { subject, asked } = gate(() => healthy(), { config: { probes: [] } });
  expect(await subject.mayGo(["h1"], ["h2"])).toMatchObject({ verdict: "ok", reasons: [], seen: [] });
  expect(asked).toEqual([]);
});

test("names the largest set that could go", async () => {
  const { subject } = gate(() => healthy());
  expect(await subject.safeSet(["h1", "h2", "h3"])).toEqual(["h1"]);
});

test("a system that locks itself is asked by one host at a time, whatever is asked of it at once", async () => {
  let asking = 0;
  let most = 0;
  const inventories = ["h1", "h2", "h3"].map(
    (host) =>
      ({
        host,
        labels: {},
        connected: true,
        readT: 0,
        inventory: { problem: "", instances: [] },
      }) as unknown as HostInventory,
  );
  const subject = new QuorumGate({
    config: () => ({ ...noQuorum, probes: [{ ...probe, system: "gluster" }] }),
    read: async () => {
      most = Math.max(most, ++asking);
      await new Promise(setImmediate);
      asking--;
      return healthy();
    },
    inventories: () => inventories,
    isFresh: () => true,
    out: () => [],
    stopsWith: () => false,
    pause: async () => {},
  });
  const answers = await Promise.all([subject.mayGo(["h1"], []), subject.mayGo(["h2"], []), subject.healed("h3")]);
  expect(most).toBe(1);
  expect(answers).toMatchObject([{ verdict: "tight" }, { verdict: "tight" }, { verdict: "ok" }]);
});

test("an answer says what it was concluded from", async () => {
  const { seen } = await gate(() => healthy()).subject.mayGo(["h1"], []);
  expect(seen).toEqual(["etcd-main: healthy, 3 of 3 up (2 needed), seen from h2 and h3"]);
});

test("a host has healed once every view says so", async () => {
  expect(await gate(() => healthy()).subject.healed("h1")).toMatchObject({ verdict: "ok", reasons: [] });
  const healing = gate((r) =>
    r.host === "h3" ? healthy({ state: "degraded", reasons: ["3 entries to heal"] }) : healthy(),
  );
  expect(await healing.subject.healed("h1")).toMatchObject({
    verdict: "deny",
    reasons: [{ rule: "not-healed", text: "etcd-main is not whole: 3 entries to heal" }],
  });
});

test("a host that looks well only once has not healed", async () => {
  const degraded = healthy({ state: "degraded", reasons: ["3 entries to heal"] });
  const { subject, asked } = gate(() => (asked.length > 3 ? degraded : healthy()));
  expect(await subject.healed("h1")).toMatchObject({ verdict: "deny" });
  expect(asked.map((r) => r.host)).toEqual(["h1", "h2", "h3", "h1", "h2", "h3"]);
});

test("an instance that starts after its host has healed does not keep it from healing; one that runs there and is not up does", async () => {
  const members = ["ns1", "ns2", "ns3"].map((name) => ({ kind: "instance" as const, name }));
  const config = { groups: [{ name: "dns", members, needed: 2 }] };
  const on = (name: string, state: string) => ({ uuid: name, name, state });
  const healedWith = async (state: string) => {
    const instances = { h1: [on("ns1", "shutoff"), on("ns2", state)], h3: on("ns3", "running") };
    const { reasons } = await gate(() => healthy(), { config, instances }).subject.healed("h1");
    return reasons.map((r) => r.text);
  };
  expect(await healedWith("running")).toEqual([]);
  expect(await healedWith("paused")).toEqual([expect.stringContaining("group dns")]);
});

test("heal is asked of those who come back, the way out of those who go", async () => {
  const degraded = healthy({ state: "degraded", reasons: ["3 entries to heal"] });
  const { subject } = gate(() => degraded);
  const question = { run: "r1", host: "h1", cluster: "c1", out: [] };
  const told = await new Promise((resolve) => subject.ask({ ...question, about: "heal" }, resolve));
  expect(told).toMatchObject({
    verdict: "deny",
    reasons: [{ rule: "not-healed", subject: "h1", text: "etcd-main is not whole: 3 entries to heal", fix: "" }],
  });
});
