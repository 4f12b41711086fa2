import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Picture } from "../testing/fake-agent.ts";
import { type OperatorClient, until, World } from "../testing/world.ts";

const BOUNDS = { deadlineMs: 10_000 };
let world: World;
let alice: OperatorClient;

beforeEach(async () => {
  world = await World.make();
  alice = await world.client("operator", "alice");
});
afterEach(async () => {
  await world.end();
});

const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const vm = (n: number, name: string, more: object = {}) => ({
  uuid: uuid(n),
  name,
  state: "running",
  vcpus: 2,
  memoryMib: 1024,
  memoryMaxMib: 1024,
  persistent: true,
  ...more,
});
const capacity = { memoryMib: 4096, cpus: 4 };
const picture = (...instances: object[]): Picture => ({ platform: "simulated", capacity, instances });

/** Connects hosts with what is on them, and waits until the controller knows it. */
async function hosts(pictures: Record<string, Picture>) {
  const agents = await Promise.all(
    Object.entries(pictures).map(([name, inventory]) => world.agent(name, { inventory })),
  );
  const names = Object.keys(pictures);
  const isTold = (h: { name: string; platform?: { fresh: boolean; problem: string } | undefined }) =>
    names.includes(h.name) && h.platform && (h.platform.fresh || h.platform.problem !== "");
  await until(
    "all pictures",
    async () => (await alice.listHosts({}, BOUNDS)).hosts.filter(isTold).length === names.length,
  );
  return agents;
}
const names = async (request = {}) =>
  (await alice.listInstances(request, BOUNDS)).instances.map((i) => `${i.host}/${i.facts?.name}`);

describe("instances", () => {
  test("are listed by host and name, of the fleet, a host or a cluster", async () => {
    await hosts({ hv2: picture(vm(1, "web10"), vm(2, "web2")), hv10: picture(vm(3, "db")), hv1: picture() });
    expect(await names()).toEqual(["hv2/web2", "hv2/web10", "hv10/db"]);
    expect(await names({ host: "hv10" })).toEqual(["hv10/db"]);
    expect(await names({ cluster: "c1" })).toHaveLength(3);
    await expect(names({ cluster: "c2" })).rejects.toThrow(
      'cluster "c2": there is none of that name; did you mean c1?',
    );
    await expect(names({ host: "hv3" })).rejects.toThrow('host "hv3": there is none of that name');
    await expect(names({ host: "hv1", cluster: "c1" })).rejects.toThrow("choose one of them");
  });

  test("of a host whose platform cannot be read, or that is away, are told as not known", async () => {
    const [a] = await hosts({ hv1: picture(vm(1, "web1")), hv2: picture(vm(2, "web2")) });
    const b = await world.agent("hv3", { inventory: { platform: "libvirt", problem: "libvirtd does not answer" } });
    await until("hv3", async () => (await alice.listHosts({}, BOUNDS)).hosts.length === 3);
    a?.close();
    await until("hv1 gone", () => !world.controller.registry.host("hv1")?.connected);
    await until("hv3's word", async () => (await alice.getHost({ host: "hv3" }, BOUNDS)).host?.platform);
    const { instances, unknown } = await alice.listInstances({}, BOUNDS);
    expect(instances.map((i) => [i.facts?.name, i.fresh])).toEqual([
      ["web1", false],
      ["web2", true],
    ]);
    expect(unknown.map((r) => r.text)).toEqual([
      "hv1 is not connected, so what runs there is not known",
      "hv3 is not able to read its platform: libvirtd does not answer",
    ]);
    b.close();
  });

  test("can be named by name or uuid; a name that several have is refused with their hosts", async () => {
    await hosts({ hv1: picture(vm(1, "web"), vm(2, "web")), hv2: picture(vm(3, "db")) });
    const get = async (instance: string) => (await alice.getInstance({ instance }, BOUNDS)).instance?.facts?.uuid;
    expect(await get("db")).toBe(uuid(3));
    expect(await get(uuid(2))).toBe(uuid(2));
    await expect(get("web")).rejects.toThrow(
      `instance "web": 2 have that name, ${uuid(1)} on hv1, ${uuid(2)} on hv1; name it by its uuid`,
    );
    await expect(get("bd")).rejects.toThrow('instance "bd": there is none of that name or uuid; did you mean db?');
  });

  test("that left a definition behind are shown where they run", async () => {
    await hosts({ hv1: picture(vm(1, "web", { state: "shutoff" })), hv2: picture(vm(1, "web")) });
    const { instance } = await alice.getInstance({ instance: "web" }, BOUNDS);
    expect([instance?.host, instance?.alsoOn]).toEqual(["hv2", ["hv1 (shutoff)"]]);
  });

  test("tell what holds for them and who says so", async () => {
    const text = "instances: [{ match: db-*, policy: shutdown-restart, apart: db }, { match: '*', tier: 3 }]";
    await alice.applyPool({ file: "pool.yaml", text }, BOUNDS);
    await hosts({ hv1: picture(vm(1, "db-1", { metadata: { policy: "leave" } }), vm(2, "web")) });
    const settings = async (instance: string) =>
      (await alice.getInstance({ instance }, BOUNDS)).instance?.settings.map((s) => [s.name, s.value, s.from]);
    expect(await settings("db-1")).toEqual([
      ["policy", "leave", "metadata"],
      ["apart", "db", "pool file, match db-*"],
    ]);
    expect(await settings("web")).toEqual([
      ["policy", "migrate", "default"],
      ["tier", "3", "pool file, match *"],
    ]);
  });

  test("tell for every host of their cluster whether they could go there, and each reason why not", async () => {
    const large = vm(9, "large", { memoryMib: 3600, memoryMaxMib: 3600 });
    await hosts({
      hv1: picture(vm(1, "web")),
      hv2: picture(),
      hv3: picture(large),
      hv4: picture(),
      hv5: { platform: "simulated", problem: "cannot be read", capacity },
    });
    await alice.setCordon({ host: "hv4", cordoned: true, reason: "fan" }, BOUNDS);
    const { targets } = await alice.getInstance({ instance: "web" }, BOUNDS);
    expect(targets.map((t) => [t.host, t.possible, t.reasons.map((r) => r.rule)])).toEqual([
      ["hv2", true, []],
      ["hv3", false, ["memory"]],
      ["hv4", false, ["cordoned"]],
      ["hv5", false, ["platform-problem"]],
    ]);
    expect(targets[1]?.reasons[0]?.text).toMatch(/hv3/);
  });
});

test("a rebalance is proposed with the weights before and after, and nothing is touched", async () => {
  await hosts({ hv1: picture(vm(1, "a"), vm(2, "b"), vm(3, "c")), hv2: picture(vm(4, "d")), hv3: picture() });
  await alice.setCordon({ host: "hv3", cordoned: true }, BOUNDS);
  const { moves, hosts: weights, leftOut } = await alice.planRebalance({ cluster: "c1" }, BOUNDS);
  expect(moves.map((m) => [m.from, m.to, m.weight, m.memoryMib])).toEqual([["hv1", "hv2", 1024, 1024]]);
  expect(weights.map((w) => [w.host, w.before, w.after])).toEqual([
    ["hv1", 3072, 2048],
    ["hv2", 1024, 2048],
  ]);
  expect(leftOut).toEqual(["hv3"]);
  await expect(alice.planRebalance({ cluster: "c7" }, BOUNDS)).rejects.toThrow('cluster "c7": there is none');
});

describe("pictures of hosts", () => {
  test("tell the room that is left", async () => {
    await hosts({ hv1: picture(vm(1, "a"), vm(2, "b", { state: "shutoff" })) });
    const { host } = await alice.getHost({ host: "hv1" }, BOUNDS);
    expect(host?.platform).toMatchObject({
      platform: "simulated",
      memoryUsedMib: 1024,
      memoryLimitMib: 4096,
      vcpusUsed: 2,
      vcpusLimit: 16,
      instances: 2,
      instancesRunning: 1,
      fresh: true,
    });
  });

  test("outlive the controller, but are not acted on until the agent has told anew", async () => {
    const [agent] = await hosts({ hv1: picture(vm(1, "web")) });
    agent?.close();
    await world.controller.stop();
    await world.start();
    alice = await world.client("operator", "alice");
    const { instances, unknown } = await alice.listInstances({}, BOUNDS);
    expect(instances).toMatchObject([{ host: "hv1", fresh: false, facts: { name: "web" } }]);
    expect(unknown).toMatchObject([{ subject: "hv1" }]);
    expect(Number(instances[0]?.readAtMs)).toBeGreaterThan(1_700_000_000_000);
    await hosts({ hv1: picture(vm(1, "web")) });
    expect((await alice.listInstances({}, BOUNDS)).unknown).toEqual([]);
  });

  test("that say nonsense are never taken for an empty host", async () => {
    await world.agent("hv1", { inventory: picture(vm(1, "a"), vm(1, "b")) });
    const platform = await until("its word", async () => (await alice.getHost({ host: "hv1" }, BOUNDS)).host?.platform);
    expect(platform).toMatchObject({ fresh: false, problem: `instance "b": its uuid ${uuid(1)} is there twice` });
  });
});

describe("cordon marks", () => {
  test("are told to the agent after its Welcome and on every change", async () => {
    const [agent] = await hosts({ hv1: picture() });
    const marks = () =>
      agent?.received.flatMap((r) => (r.message.case === "setCordon" ? [r.message.value.holder] : [])) ?? [];
    expect(marks()).toEqual([""]);
    await alice.setCordon({ host: "hv1", cordoned: true, reason: "fan" }, BOUNDS);
    await until("the mark", () => marks().at(-1) === "operator");
    await until("its echo", async () => (await alice.getHost({ host: "hv1" }, BOUNDS)).host?.platform?.cordonedBy);
    const again = await world.agent("hv1", { inventory: picture() });
    await until("the mark in the new session", () => again.cordonedBy === "operator");
    await alice.setCordon({ host: "hv1", cordoned: false }, BOUNDS);
    await until("its end", () => again.cordonedBy === "");
  });

  test("that an agent has forgotten are told once more", async () => {
    const [agent] = await hosts({ hv1: picture() });
    await alice.setCordon({ host: "hv1", cordoned: true }, BOUNDS);
    await until("the mark", () => agent?.cordonedBy === "operator");
    if (agent) agent.cordonedBy = "";
    agent?.tell(picture());
    await until("the mark again", () => agent?.cordonedBy === "operator");
  });
});

describe("the pool file", () => {
  const apply = (text: string, file = "pool.yaml") => alice.applyPool({ file, text }, BOUNDS);

  test("is kept with its history, and is in force at once and after a restart", async () => {
    expect(await alice.getPool({}, BOUNDS)).toMatchObject({ text: "", history: [] });
    expect(await apply("capacity: { cpuOvercommit: 2 }")).toMatchObject({
      changed: true,
      version: { number: 1, who: "alice" },
    });
    expect(await apply("capacity: { cpuOvercommit: 2 }")).toMatchObject({ changed: false, version: { number: 1 } });
    expect(await apply("capacity: { cpuOvercommit: 3 }")).toMatchObject({ changed: true, version: { number: 2 } });
    await world.controller.stop();
    await world.start();
    alice = await world.client("operator", "alice");
    const { text, history } = await alice.getPool({}, BOUNDS);
    expect(text).toBe("capacity: { cpuOvercommit: 3 }");
    expect(history.map((h) => [h.number, h.who, h.file])).toEqual([
      [2, "alice", "pool.yaml"],
      [1, "alice", "pool.yaml"],
    ]);
    await hosts({ hv1: picture() });
    expect((await alice.getHost({ host: "hv1" }, BOUNDS)).host?.platform?.vcpusLimit).toBe(12);
    expect((await alice.listAudit({}, BOUNDS)).entries.map((e) => `${e.method}: ${e.what}`)).toContain(
      "applyPool: pool.yaml, version 2",
    );
  });

  test("with anything wrong in it changes nothing", async () => {
    await apply("capacity: { cpuOvercommit: 2 }");
    await expect(apply("capacity:\n  cpuOvercomit: 2")).rejects.toThrow(
      'pool.yaml:2: key "capacity.cpuOvercomit" is unknown; did you mean "cpuOvercommit"?',
    );
    expect((await alice.getPool({}, BOUNDS)).history).toHaveLength(1);
  });

  test("warns of a home that no host is", async () => {
    const { warnings } = await apply("instances: [{ match: a, home: hv77 }]");
    expect(warnings.map((w) => w.text)).toEqual(["instances a have their home on hv77, and there is no such host"]);
  });
});

test("a host does not go out when the pool file's quorum forbids it, and goes once it does no more", async () => {
  const group =
    "quorum: [{ name: dns, members: [{ instance: ns1 }, { instance: ns2 }, { instance: ns3 }], needed: NEEDED }]";
  const rules = "instances: [{ match: 'ns*', policy: shutdown-restart }]";
  await alice.applyPool({ file: "pool.yaml", text: `${group.replace("NEEDED", "2")}\n${rules}` }, BOUNDS);
  await hosts({ hv1: picture(vm(1, "ns1"), vm(3, "ns3")), hv2: picture(vm(2, "ns2")) });
  const options = { pingIntervalMs: 300n };
  const { run } = await alice.startRun({ scope: { hosts: ["hv1"] }, options }, BOUNDS);
  const why = async () => (await alice.whyHost({ host: "hv1" }, BOUNDS)).reasons.map((r) => r.text).join(" ");
  await until("the gate's no", async () => (await why()).includes("dns"));
  expect((await alice.getHost({ host: "hv1" }, BOUNDS)).host?.cordoned).toBe(false);
  await alice.applyPool({ file: "pool.yaml", text: `${group.replace("NEEDED", "1")}\n${rules}` }, BOUNDS);
  await until("the turn", async () => (await alice.getHost({ host: "hv1" }, BOUNDS)).host?.cordoned);
  await alice.controlRun({ run, action: 4 }, BOUNDS);
});

test("why a host is as it is: what is done to its instances, what was stopped, and what is not known of it", async () => {
  const web = vm(1, "web", { metadata: { policy: "shutdown-restart" } });
  const [agent] = await hosts({ hv1: picture(web), hv2: picture() });
  const why = async () => (await alice.whyHost({ host: "hv1" }, BOUNDS)).reasons;
  const { run } = await alice.startRun({ scope: { hosts: ["hv1"] }, options: { op: "drain" } }, BOUNDS);
  await until("the stop", async () => (await why()).find((r) => r.rule === "instances-left"));
  // The fake agent says that it has stopped it; then its picture shows it.
  agent?.tell(picture({ ...web, state: "shutoff" }));
  await until("the end", async () => (await alice.getRun({ run }, BOUNDS)).run?.outcome !== "");
  // Readers of the report can tell what was asked.
  expect((await alice.getReport({ run }, BOUNDS)).report?.op).toBe("drain");
  expect((await why()).find((r) => r.rule === "instance-stopped")).toMatchObject({
    text: expect.stringMatching(/^instance web was stopped by run \S+ at \S+ and was not started since$/),
    fix: "slipway restore hv1",
  });
  agent?.tell({ platform: "simulated", problem: "libvirtd is away" });
  await until("the problem", async () => (await why()).some((r) => r.text.includes("libvirtd is away")));
});
