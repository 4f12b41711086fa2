import { connect, openServerStream } from "@slipway/shared/grpc";
import { operatorWire } from "@slipway/shared/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until, World } from "./testing/world.ts";

const BOUNDS = { deadlineMs: 10_000 };
let world: World;

beforeEach(async () => {
  world = await World.make({ heartbeatMs: 500 });
});
afterEach(async () => {
  await world.end();
});

test("a whole maintenance over real TLS, watched to its end", async () => {
  const [a, b] = [await world.agent("hv1"), await world.agent("hv2")];
  const alice = await world.client("operator", "alice");
  await until(
    "two hosts",
    async () => (await alice.listHosts({}, BOUNDS)).hosts.filter((h) => h.connected).length === 2,
  );
  const scope = { clusters: ["c1"] };
  const { plan } = await alice.plan({ scope }, BOUNDS);
  expect(plan?.hosts).toEqual(["hv1", "hv2"]);
  const first = await alice.startRun({ scope, requestId: "q1" }, BOUNDS);
  expect(first.run).toMatch(/^r[a-z0-9-]+$/);
  expect((await alice.startRun({ scope, requestId: "q1" }, BOUNDS)).run).toBe(first.run);

  const client = connect(world.controller.listen, await world.tls("viewer", "vera"));
  world.onEnd(() => client.close());
  const seen: operatorWire.WatchRunResponse[] = [];
  for await (const m of openServerStream(client, operatorWire.OperatorService.method.watchRun, { run: first.run }))
    seen.push(m as operatorWire.WatchRunResponse);
  expect(seen[0]?.message.case).toBe("snapshot");
  const last = seen.at(-1)?.message;
  expect(last?.case === "snapshot" && last.value).toMatchObject({ state: "ended", outcome: "succeeded" });
  const lines = seen.flatMap((m) => (m.message.case === "line" ? [m.message.value] : []));
  expect(lines.map((l) => l.seq)).toEqual(lines.map((l) => l.seq).toSorted((x, y) => Number(x - y)));
  expect(lines.at(-1)?.text).toBe("rolling => ended: succeeded (OK: 2 updated)");

  const { report, log } = await alice.getReport({ run: first.run }, BOUNDS);
  expect(report).toMatchObject({ success: true, hostsupdated: [{ hostname: "hv1" }, { hostname: "hv2" }], ledger: [] });
  expect(log).toEqual(lines);
  // Every report was acknowledged, each step was started once.
  await until("acknowledgements", () => a.acked.size === a.started.length * 2 && b.acked.size === b.started.length * 2);
  expect(new Set(a.started).size).toBe(a.started.length);
});

test("a controller that is started anew in the middle finishes the run", async () => {
  const held: string[] = [];
  const answer = (start: { spec: { case: string | undefined } }) => {
    if (start.spec.case === "hook" && held.length === 0) {
      held.push("in hand");
      return undefined;
    }
    return {};
  };
  const agent = await world.agent("hv1", { answer });
  let alice = await world.client("operator", "alice");
  await until("the host", async () => (await alice.listHosts({}, BOUNDS)).hosts.some((h) => h.connected));
  const { run } = await alice.startRun({ scope: { hosts: ["hv1"] } }, BOUNDS);
  await until("the first hook in hand", () => held.length === 1);
  await until("its acceptance", () =>
    world.controller.store.runs.log(run).some((r) => r.event.type === "step-accepted" && r.event.step === "PreFlight"),
  );
  const clockBefore = world.controller.store.runs.lastEventT();
  await world.controller.stop();
  expect(agent.status).toBeDefined();

  await world.start();
  expect(world.controller.store.runs.engineClock()).toBeGreaterThanOrEqual(clockBefore);
  // The hook has ended meanwhile; the agent's journal tells it.
  const key = { run, host: "hv1", step: "PreFlight", attempt: 1 };
  const ended = new Map(agent.ended).set(`${run}/hv1/PreFlight/1`, { key, state: 2, verdict: 1 });
  const again = await world.agent("hv1", { answer }, ended);
  again.report({ key, state: 2, verdict: 1 });
  alice = await world.client("operator", "alice");
  await until("the end", async () => (await alice.getRun({ run }, BOUNDS)).run?.outcome === "succeeded");
  expect(again.started.filter((k) => k.includes("PreFlight"))).toEqual([]);
});
