import { type HookFile, hookSetHash } from "@slipway/shared/node";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { FakeAgent } from "../testing/fake-agent.ts";
import { type OperatorClient, until, World } from "../testing/world.ts";

const BOUNDS = { deadlineMs: 10_000 };
const files: HookFile[] = [
  { name: "Maintenance", content: Buffer.from("#!/bin/sh\nexit 0\n"), executable: true },
  { name: "lib.sh", content: Buffer.from("x=1\n"), executable: false },
];
const hash = hookSetHash(files);
let world: World;
let alice: OperatorClient;

beforeEach(async () => {
  world = await World.make();
  alice = await world.client("operator", "alice");
});
afterEach(async () => {
  await world.end();
});

async function host(name: string, options: Parameters<World["agent"]>[1] = {}): Promise<FakeAgent> {
  const agent = await world.agent(name, { takesPushes: true, ...options });
  await until(`${name} to connect`, () => world.controller.registry.host(name)?.connected);
  return agent;
}
const push = async (hosts: string[], timeoutMs = 5_000n) =>
  (await alice.pushHooks({ scope: { hosts }, files, hash, timeoutMs }, BOUNDS)).hosts;

test("every host answers for itself: new, unchanged, not allowed, refused, away", async () => {
  const first = await host("hv1", { pushed: () => ({ changed: true, replaced: "/etc/slipway/hooks.d.replaced-1" }) });
  await host("hv2", { hooksHash: hash });
  const closed = await host("hv3", { takesPushes: false });
  await host("hv4", { pushed: () => ({ problem: "r1/hv4/Maintenance/1 is in hand" }) });
  const away = await host("hv5");
  away.close();
  await until("hv5 to go", () => world.controller.registry.host("hv5")?.connected === false);
  expect(await push(["hv1", "hv2", "hv3", "hv4", "hv5"])).toMatchObject([
    { host: "hv1", ok: true, changed: true, problem: "", hash, replaced: "/etc/slipway/hooks.d.replaced-1" },
    { host: "hv2", ok: true, changed: false, problem: "", hash },
    { host: "hv3", ok: false, problem: expect.stringMatching(/slipway\.hooks\.push=true/) },
    { host: "hv4", ok: false, problem: "r1/hv4/Maintenance/1 is in hand" },
    { host: "hv5", ok: false, problem: expect.stringMatching(/not connected/) },
  ]);
  const sent = first.received.flatMap(({ message }) => (message.case === "pushHooks" ? [message.value] : []));
  expect(sent[0]?.files.map((f) => [f.name, Buffer.from(f.content).toString(), f.executable])).toEqual([
    ["Maintenance", "#!/bin/sh\nexit 0\n", true],
    ["lib.sh", "x=1\n", false],
  ]);
  expect(closed.received.some(({ message }) => message.case === "pushHooks")).toBe(false);
  const { host: shown } = await alice.getHost({ host: "hv1" }, BOUNDS);
  expect(shown).toMatchObject({ hooksHash: hash, hooksPush: true });
  const [entry] = world.controller.store.audit.latest(1);
  expect(entry).toMatchObject({ who: "alice", method: "pushHooks", result: "ok" });
  expect(entry?.what).toBe(
    `hooks ${hash} (2 files) to hosts hv1,hv2,hv3,hv4,hv5; 2 of 5 hosts have it, not hv3,hv4,hv5`,
  );
});

test("an agent that restarts with a push in its hands is believed, or asked again", async () => {
  const dying = await host("hv1", { pushed: () => undefined });
  const undecided = await host("hv2", { pushed: () => undefined });
  const answers = push(["hv1", "hv2"]);
  for (const agent of [dying, undecided]) {
    await until("the push", () => agent.received.some(({ message }) => message.case === "pushHooks"));
    agent.close();
  }
  await host("hv1", { hooksHash: hash, pushed: () => ({ problem: "must not be asked again" }) });
  await host("hv2", { hooksHash: "old" });
  expect(await answers).toMatchObject([
    { host: "hv1", ok: true, changed: true },
    { host: "hv2", ok: true, changed: true, hash },
  ]);
});

test("a host that does not answer is given up, and a late answer is not taken for the next push", async () => {
  const agent = await host("hv1", { pushed: () => undefined });
  expect(await push(["hv1"], 200n)).toMatchObject([
    { ok: false, problem: expect.stringMatching(/^no answer within 200 ms/) },
  ]);
  const second = push(["hv1"], 400n);
  await until(
    "the second push",
    () => agent.received.filter(({ message }) => message.case === "pushHooks").length === 2,
  );
  const [first] = agent.received.flatMap(({ message }) => (message.case === "pushHooks" ? [message.value] : []));
  agent.send({ message: { case: "hooksPushed", value: { nonce: first?.nonce ?? 0n, changed: true } } });
  expect(await second).toMatchObject([{ ok: false }]);
});

test("two pushes to one host do not mix", async () => {
  await host("hv1", { pushed: () => undefined });
  const first = push(["hv1"], 300n);
  await until("the first", async () => (await push(["hv1"], 100n))[0]?.problem.includes("another push"));
  expect(await first).toMatchObject([{ ok: false }]);
});

test("hosts of a run keep the hooks that its checks saw", async () => {
  const agent = await host("hv1", { answer: () => undefined });
  const { run } = await alice.startRun({ scope: { hosts: ["hv1"] } }, BOUNDS);
  await until("its first step", () => agent.started.length > 0);
  expect(await push(["hv1"])).toMatchObject([{ ok: false, problem: expect.stringContaining(`it is in run ${run}`) }]);
});

test("files that no host would take, a wrong hash and no scope are refused before anybody is asked", async () => {
  await host("hv1");
  const scope = { hosts: ["hv1"] };
  const bad = [{ name: "../Maintenance", content: Buffer.from("x"), executable: true }];
  for (const [request, text] of [
    [{ scope, files: bad, hash: "" }, /no hook among the files.*and 1 more/],
    [{ scope, files, hash: "00" }, /the request says 00/],
    [{ files, hash }, /scope: nothing is chosen/],
    [{ scope: { hosts: ["hv9"] }, files, hash }, /there is none of that name/],
  ] as [Parameters<OperatorClient["pushHooks"]>[0], RegExp][])
    await expect(alice.pushHooks(request, BOUNDS)).rejects.toThrow(text);
});

test("a list can be of a scope, and ask hosts what they have now", async () => {
  const agent = await host("hv1");
  await host("hv2", { labels: { cluster: "c2" } });
  agent.hooksHash = "changed by hand";
  const list = async (refresh: boolean) =>
    (await alice.listHosts({ scope: { clusters: ["c1"] }, refresh }, BOUNDS)).hosts.map((h) => [h.name, h.hooksHash]);
  expect(await list(false)).toEqual([["hv1", ""]]);
  expect(await list(true)).toEqual([["hv1", "changed by hand"]]);
});
