import { connect, openServerStream } from "@slipway/shared/grpc";
import { agentWire, operatorWire } from "@slipway/shared/wire";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FakeAgent, goodHooks } from "../testing/fake-agent.ts";
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

async function hosts(names: string[], options: Parameters<World["agent"]>[1] = {}): Promise<FakeAgent[]> {
  const agents = await Promise.all(names.map((name) => world.agent(name, options)));
  await until("their connection", () => names.every((n) => world.controller.registry.host(n)?.connected));
  return agents;
}
const run = async (id: string) => (await alice.getRun({ run: id }, BOUNDS)).run;
const ended = (id: string) => until("the end", async () => ((await run(id))?.state === "ended" ? run(id) : undefined));
const hook = (start: agentWire.StartStep) => (start.spec.case === "hook" ? start.spec.value.stage : "");
const failing = (stage: string) => ({
  answer: (start: agentWire.StartStep) =>
    hook(start) === stage ? { verdict: agentWire.Verdict.FAILED, exitCode: 3, reason: "exit status 3" } : {},
});

describe("plan and start", () => {
  test("name the same hosts in the same order, and go by today's hooks", async () => {
    const agents = await hosts(["hv10", "hv2", "hv1"]);
    for (const scope of [{ hosts: ["hv10", "hv1"] }, { clusters: ["c1"] }]) {
      const { plan } = await alice.plan({ scope }, BOUNDS);
      const started = await alice.startRun({ scope }, BOUNDS);
      expect(started.plan?.hosts).toEqual(plan?.hosts);
      expect((await ended(started.run)).hosts?.map((h) => h.name)).toEqual(plan?.hosts);
    }
    for (const agent of agents) agent.setHooks([]);
    const { plan } = await alice.plan({ scope: { hosts: ["hv1"] } }, BOUNDS);
    expect(plan?.skipped).toMatchObject([{ host: "hv1", reason: { rule: "no-maintenance-hook" } }]);
  });

  test("fill in defaults for what is 0, and refuse what CloudStack refuses", async () => {
    await hosts(["hv1"]);
    const scope = { hosts: ["hv1"] };
    const { plan } = await alice.plan({ scope, options: { maxOut: 0, payload: "a 'b c'" } }, BOUNDS);
    expect(plan?.options).toMatchObject({
      timeoutMs: 1_800_000n,
      pingIntervalMs: 10_000n,
      maxOut: 1,
      onFailure: "cordoned",
      payload: "a 'b c'",
    });
    await expect(alice.plan({ scope, options: { timeoutMs: 5_000n } }, BOUNDS)).rejects.toThrow(
      "timeout: 5 s is below the ping interval of 10 s",
    );
    await expect(alice.plan({ scope: { hosts: ["hv1"], zones: ["z1"] } }, BOUNDS)).rejects.toThrow(
      "scope: hosts hv1 and zones z1 were given; choose exactly one kind",
    );
    await expect(alice.plan({ scope: { hosts: ["hv"] } }, BOUNDS)).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringContaining("did you mean hv1?"),
    });
  });

  test("a run whose plan has blockers fails before anything is changed; a forced one leaves that host out", async () => {
    const bad = { stage: "Maintenance", file: "/hooks/Maintenance", sha256: "", problem: "not executable; chmod +x" };
    const [a, b] = await hosts(["hv1", "hv2"]);
    b?.setHooks([bad]);
    const scope = { hosts: ["hv1", "hv2"] };
    const started = await alice.startRun({ scope }, BOUNDS);
    expect(started.plan?.blockers).toMatchObject([{ text: "hv2: Maintenance hook: not executable; chmod +x" }]);
    const failed = await ended(started.run);
    expect(failed.hosts?.map((h) => [h.outcome, h.reason])).toEqual([
      ["untouched", expect.stringContaining("hv2 failed")],
      ["failed", "Maintenance hook /hooks/Maintenance: not executable; chmod +x"],
    ]);
    expect(a?.started.some((k) => k.includes("/Maintenance/"))).toBe(false);
    const forced = await alice.startRun({ scope, options: { forced: true } }, BOUNDS);
    expect((await ended(forced.run)).hosts?.map((h) => h.outcome)).toEqual(["updated", "failed"]);
  });

  test("a second run in the same cluster is refused, naming the first", async () => {
    await hosts(["hv1", "hv2"], { answer: (s) => (hook(s) === "Maintenance" ? undefined : {}) });
    const first = await alice.startRun({ scope: { hosts: ["hv1"] } }, BOUNDS);
    await expect(alice.startRun({ scope: { hosts: ["hv2"] } }, BOUNDS)).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining(`run ${first.run}, started by alice, is active there`),
    });
  });
});

describe("runs", () => {
  test("are listed newest first without stages; a wrong id gets the nearest one", async () => {
    await hosts(["hv1"], {
      answer: (s) => (hook(s) === "" ? {} : { output: "printed", startedAtMs: 9_223_372_036_854_775_807n }),
    });
    const first = await alice.startRun({ scope: { hosts: ["hv1"] } }, BOUNDS);
    await ended(first.run);
    const second = await alice.startRun({ scope: { hosts: ["hv1"] } }, BOUNDS);
    const full = await ended(second.run);
    expect(full.hosts?.[0]?.stages?.[0]).toMatchObject({ stage: "PreFlight", verdict: "ok", output: "printed" });
    const { runs } = await alice.listRuns({}, BOUNDS);
    expect(runs.map((r) => r.run)).toEqual([second.run, first.run]);
    expect(runs[0]).toMatchObject({ outcome: "succeeded", startedBy: "alice", hosts: [{ name: "hv1", stages: [] }] });
    expect((await alice.listRuns({ limit: 1 }, BOUNDS)).runs).toHaveLength(1);
    await expect(alice.getRun({ run: `${first.run}x` }, BOUNDS)).rejects.toThrow(`did you mean ${first.run}?`);
  });

  test("pause, resume and abort, each in the audit log with who, what and result", async () => {
    const go: (() => void)[] = [];
    const [agent] = await hosts(["hv1"], {
      answer: (s) => {
        if (hook(s) !== "PreFlight") return {};
        const { key } = s;
        go.push(() => agent?.report({ ...(key ? { key } : {}), state: 2, verdict: 1 }));
        return undefined;
      },
    });
    const { run: id } = await alice.startRun({ scope: { hosts: ["hv1"] } }, BOUNDS);
    await until("PreFlight in hand", () => go.length > 0);
    const { RunAction } = operatorWire;
    const paused = await alice.controlRun({ run: id, action: RunAction.PAUSE, reason: "lunch" }, BOUNDS);
    expect(paused.run).toMatchObject({ paused: true, pauseReason: { text: "paused by alice: lunch" } });
    go[0]?.();
    await until("PreFlight's end", async () => (await run(id))?.hosts[0]?.stages[0]?.verdict === "ok");
    expect((await run(id))?.state).toBe("preflight");
    await expect(alice.controlRun({ run: id, action: 99 as never }, BOUNDS)).rejects.toThrow("action 99: not known");
    await alice.controlRun({ run: id, action: RunAction.ABORT }, BOUNDS);
    expect(await ended(id)).toMatchObject({ outcome: "aborted", details: "Aborted by alice: 1 untouched" });
    await expect(alice.controlRun({ run: id, action: RunAction.RESUME }, BOUNDS)).rejects.toThrow(/has ended/);
    const audit = (await alice.listAudit({}, BOUNDS)).entries.map(({ who, method, what, result }) => [
      who,
      method,
      what,
      result,
    ]);
    expect(audit).toEqual([
      ["alice", "controlRun", `resume run ${id}`, expect.stringContaining("has ended (aborted)")],
      ["alice", "controlRun", `abort run ${id}`, "ok"],
      ["alice", "controlRun", `unknown action on run ${id}`, expect.stringContaining("not known")],
      ["alice", "controlRun", `pause run ${id}: lunch`, "ok"],
      ["alice", "startRun", `hosts hv1; run ${id}`, "ok"],
    ]);
  });

  test("a failed host is retried where it stopped", async () => {
    let repaired = false;
    await hosts(["hv1"], {
      answer: (s) => (hook(s) === "Maintenance" && !repaired ? { verdict: agentWire.Verdict.FAILED, exitCode: 3 } : {}),
    });
    const { run: id } = await alice.startRun({ scope: { hosts: ["hv1"] } }, BOUNDS);
    expect((await ended(id)).outcome).toBe("failed");
    repaired = true;
    const { HostAction } = operatorWire;
    await expect(alice.controlHost({ run: id, host: "hv2", action: HostAction.RETRY }, BOUNDS)).rejects.toThrow(
      /host "hv2": not in run/,
    );
    await alice.controlHost({ run: id, host: "hv1", action: HostAction.RETRY, reason: "disk replaced" }, BOUNDS);
    expect(await ended(id)).toMatchObject({ outcome: "succeeded", hosts: [{ outcome: "updated", cordoned: false }] });
    expect((await alice.listRuns({}, BOUNDS)).runs[0]?.outcome).toBe("succeeded");
  });
});

describe("hosts", () => {
  test("a failed Maintenance leaves a cordon that the ledger and `why` explain, and that uncordon settles", async () => {
    await hosts(["hv1"], failing("Maintenance"));
    const { run: id } = await alice.startRun({ scope: { hosts: ["hv1"] } }, BOUNDS);
    await ended(id);
    const { entries } = await alice.listLedger({}, BOUNDS);
    const note = "hv1 failed: Maintenance: exit status 3; the host stays cordoned";
    expect(entries).toMatchObject([{ run: id, host: "hv1", change: "cordon", undo: "uncordon", closedAtMs: 0n, note }]);
    const { host } = await alice.getHost({ host: "hv1" }, BOUNDS);
    expect(host).toMatchObject({ cordoned: true, cordonReason: `by run ${id}`, run: "" });
    const { reasons } = await alice.whyHost({ host: "hv1" }, BOUNDS);
    expect(reasons).toMatchObject([{ rule: "cordoned-by-run", text: expect.stringContaining(note) }]);
    await alice.setCordon({ host: "hv1", cordoned: false, reason: "repaired" }, BOUNDS);
    expect((await alice.listLedger({}, BOUNDS)).entries).toEqual([]);
    expect((await alice.listLedger({ all: true }, BOUNDS)).entries).toMatchObject([
      { note: "uncordoned by alice: repaired" },
    ]);
    expect((await alice.whyHost({ host: "hv1" }, BOUNDS)).reasons).toMatchObject([{ rule: "in-service" }]);
  });

  test("what steps usually take is shown of a host, not of a list of them, and outlives a restart", async () => {
    await hosts(["hv1"]);
    for (let i = 0; i < 2; i++) {
      const { run: id } = await alice.startRun({ scope: { hosts: ["hv1"] } }, BOUNDS);
      expect(await ended(id)).toMatchObject({ outcome: "succeeded" });
    }
    const shown = (await alice.getHost({ host: "hv1" }, BOUNDS)).host?.durations ?? [];
    expect(shown.map((d) => d.kind)).toEqual(expect.arrayContaining(["Maintenance", "drain", "away"]));
    expect(shown.find((d) => d.kind === "Maintenance")).toMatchObject({ samples: 2, of: "host" });
    expect((await alice.listHosts({}, BOUNDS)).hosts).toMatchObject([{ name: "hv1", durations: [] }]);
    const { listen } = world.controller;
    await world.controller.stop();
    await world.start(listen);
    expect((await alice.getHost({ host: "hv1" }, BOUNDS)).host?.durations).toEqual(shown);
  });

  test("a run waits for its window, with all hosts whole, and says until when; a wrong one is refused", async () => {
    const [agent] = await hosts(["hv1"]);
    const later = new Date(Date.now() + 3 * 86_400_000).toUTCString().slice(0, 3);
    const scope = { hosts: ["hv1"] };
    await expect(alice.startRun({ scope, options: { window: `${later} 10:00-22:00` } }, BOUNDS)).rejects.toMatchObject({
      code: "bad-input",
      message: expect.stringContaining(`"${later} 10:00-22:00": it states no time zone`),
    });
    const { run: id, plan } = await alice.startRun({ scope, options: { window: `${later} 10:00-22:00 UTC` } }, BOUNDS);
    expect(plan?.warnings.map((w) => w.text)).toEqual([
      expect.stringMatching(/^window \w+ 10:00-22:00 UTC: it opens at .* 10:00 UTC; all turns fit into that opening$/),
    ]);
    const held = await until("the window's wait", async () => {
      const { reasons } = await alice.whyHost({ host: "hv1" }, BOUNDS);
      return reasons.find((r) => r.rule === "window");
    });
    expect(held.text).toMatch(
      /^hv1 waits for the window \w+ 10:00-22:00 UTC: it opens at \w+ \d{4}-\d\d-\d\d 10:00 UTC$/,
    );
    expect(agent?.started.some((k) => k.includes("/PreMaintenance/"))).toBe(false);
    await alice.controlRun({ run: id, action: operatorWire.RunAction.ABORT }, BOUNDS);
    expect(await ended(id)).toMatchObject({ outcome: "aborted", hosts: [{ outcome: "untouched" }] });
  });

  test("an operator's cordon outlives a restart", async () => {
    await hosts(["hv1"]);
    await alice.setCordon({ host: "hv1", cordoned: true, reason: "noisy fan" }, BOUNDS);
    await world.controller.stop();
    await world.start();
    alice = await world.client("operator", "alice");
    const { host } = await alice.getHost({ host: "hv1" }, BOUNDS);
    expect(host).toMatchObject({ cordoned: true, cordonReason: "by alice: noisy fan", connected: false });
    const { reasons } = await alice.whyHost({ host: "hv1" }, BOUNDS);
    expect(reasons.map((r) => r.rule)).toEqual(["unreachable", "cordoned-by-operator"]);
    expect(reasons[1]?.text).toMatch(/^cordoned by alice at .*Z: noisy fan$/);
    await alice.setCordon({ host: "hv1", cordoned: false }, BOUNDS);
    expect((await alice.getHost({ host: "hv1" }, BOUNDS)).host?.cordoned).toBe(false);
  });

  test("a host in the hands of a run is not uncordoned, and `why` says what it is at", async () => {
    await hosts(["hv1", "hv2"], { answer: (s) => (hook(s) === "Maintenance" ? undefined : {}) });
    const { run: id } = await alice.startRun({ scope: { clusters: ["c1"] } }, BOUNDS);
    await until("Maintenance", async () => (await run(id))?.hosts[0]?.state === "maintenance");
    await expect(alice.setCordon({ host: "hv1", cordoned: false }, BOUNDS)).rejects.toThrow(
      `hv1 is in the hands of run ${id}; wait for it, or abort it first: slipway run abort ${id}`,
    );
    expect((await alice.getHost({ host: "hv1" }, BOUNDS)).host?.run).toBe(id);
    expect((await alice.whyHost({ host: "hv1" }, BOUNDS)).reasons[0]?.text).toMatch(
      new RegExp(`^hv1 is in run ${id}, started by alice: maintenance, since `),
    );
    expect((await alice.whyHost({ host: "hv2" }, BOUNDS)).reasons.map((r) => r.rule)).toEqual(["in-run", "max-out"]);
    expect((await alice.listLedger({}, BOUNDS)).entries[0]?.note).toBe(`run ${id} has it in hand: maintenance`);
    await expect(alice.getHost({ host: "hv3" }, BOUNDS)).rejects.toThrow(/host "hv3": .*did you mean hv\d\?/);
  });
});

describe("watching", () => {
  async function watch(id: string, afterSeq = 0n) {
    const client = connect(world.controller.listen, await world.tls("viewer", "vera"));
    world.onEnd(() => client.close());
    return openServerStream(client, operatorWire.OperatorService.method.watchRun, { run: id, afterSeq });
  }
  async function all(id: string, afterSeq = 0n) {
    const seen: operatorWire.WatchRunResponse["message"][] = [];
    for await (const m of await watch(id, afterSeq)) seen.push((m as operatorWire.WatchRunResponse).message);
    return seen;
  }

  test("a run that is over: snapshot, its lines after the given one, end", async () => {
    await hosts(["hv1"]);
    const { run: id } = await alice.startRun({ scope: { hosts: ["hv1"] } }, BOUNDS);
    await ended(id);
    const whole = await all(id);
    expect(whole[0]).toMatchObject({ case: "snapshot", value: { state: "ended", outcome: "succeeded" } });
    const lines = whole.flatMap((m) => (m.case === "line" ? [m.value.seq] : []));
    const rest = await all(id, lines[3] ?? 0n);
    expect(rest.flatMap((m) => (m.case === "line" ? [m.value.seq] : []))).toEqual(lines.slice(4));
    await expect(all("nope")).rejects.toThrow(/run "nope": there is none of that name/);
  });

  test("progress of a hook reaches the watcher, also one that comes later", async () => {
    const [agent] = await hosts(["hv1"], { answer: (s) => (hook(s) === "PreFlight" ? undefined : {}) });
    const { run: id } = await alice.startRun({ scope: { hosts: ["hv1"] } }, BOUNDS);
    await until("PreFlight", async () => (await run(id))?.hosts[0]?.state === "preflight");
    const key = { run: id, host: "hv1", step: "PreFlight", attempt: 1 };
    agent?.send({ message: { case: "progress", value: { key, percent: 40, message: "halfway" } } });
    for (let i = 0; i < 2; i++) {
      const stream = await watch(id);
      const progress = await new Promise((resolve) => {
        stream.on("error", () => {});
        stream.on("data", ({ message }: operatorWire.WatchRunResponse) => {
          if (message.case === "progress") resolve(message.value);
        });
      });
      expect(progress).toMatchObject({ host: "hv1", stage: "PreFlight", percent: 40, message: "halfway" });
      stream.cancel();
    }
  });

  test("a watcher that does not read holds nothing up, and gets every line when it does", async () => {
    await hosts(Array.from({ length: 30 }, (_, i) => `hv${i}`));
    const { run: id } = await alice.startRun({ scope: { clusters: ["c1"] }, options: { maxOut: 30 } }, BOUNDS);
    const stream = await watch(id);
    stream.pause();
    await ended(id);
    const lines: bigint[] = [];
    for await (const { message } of stream as AsyncIterable<operatorWire.WatchRunResponse>)
      if (message.case === "line") lines.push(message.value.seq);
    const { log } = await alice.getReport({ run: id }, BOUNDS);
    expect(lines).toEqual(log.map((l) => l.seq));
  });
});

describe("a full disk", () => {
  test("is said, nothing is acknowledged that is not kept, and the run goes on when there is room", async () => {
    const go: (() => bigint | undefined)[] = [];
    const [agent] = await hosts(["hv1"], {
      answer: (s) => {
        if (hook(s) !== "Maintenance") return {};
        const { key } = s;
        const output = "x".repeat(300_000);
        go.push(() => agent?.report({ ...(key ? { key } : {}), state: 2, verdict: 1, output }));
        return undefined;
      },
    });
    const { run: id } = await alice.startRun({ scope: { hosts: ["hv1"] } }, BOUNDS);
    await until("Maintenance", () => go.length > 0);
    await until("its acceptance", () =>
      world.controller.store.runs
        .log(id)
        .some((r) => r.event.type === "step-accepted" && r.event.step === "Maintenance"),
    );
    const { database } = world.controller.store;
    database.pragma(`max_page_count = ${database.pragma("page_count")}`);
    const outboxId = go[0]?.() ?? 0n;
    const said = await until("the trouble", () =>
      world.logs.lines.find((l) => /the log cannot be written/.test(l.text)),
    );
    expect(said.text).toMatch(
      /controller.db: the disk is full; make room; nothing is acknowledged or started until it can/,
    );
    await expect(
      alice.controlRun({ run: id, action: operatorWire.RunAction.PAUSE, reason: "y".repeat(5_000) }, BOUNDS),
    ).rejects.toMatchObject({ code: "out-of-space" });
    expect(agent?.acked.has(outboxId)).toBe(false);
    expect(agent?.started.some((k) => k.includes("PostMaintenance"))).toBe(false);
    database.pragma("max_page_count = 1000000");
    expect((await ended(id)).outcome).toBe("succeeded");
    await until("the acknowledgement", () => agent?.acked.has(outboxId));
    expect(world.logs.lines.some((l) => /the log can be written again/.test(l.text))).toBe(true);
  });
});

test("a hook inventory with a problem blocks in the words of the agent", async () => {
  const [agent] = await hosts(["hv1"], { hooks: [] });
  agent?.setHooks(goodHooks.map((h) => (h.stage === "PreFlight" ? { ...h, problem: "not executable; chmod +x" } : h)));
  const { plan } = await alice.plan({ scope: { hosts: ["hv1"] } }, BOUNDS);
  expect(plan?.blockers).toMatchObject([
    { rule: "invalid-hook", text: "hv1: PreFlight hook: not executable; chmod +x" },
  ]);
});
