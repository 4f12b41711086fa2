import { expect, test } from "vitest";
import type { HostInventory } from "../domain/inventory.ts";
import { defaultPool } from "../domain/pool.ts";
import { optionsOf } from "../planner/plan.ts";
import { Coordinator } from "./coordinator.ts";
import { MemoryStore } from "./memory-store.ts";
import type { GateAnswer } from "./ports.ts";

const clusters: Record<string, string> = { hv1: "c1", hv2: "c2" };
const picture = (host: string): HostInventory => ({
  ...{ host, labels: {}, connected: true, readT: 0 },
  inventory: { seq: 1, platform: "none", problem: "", instances: [], cordonedBy: "" },
});

/** One host in each of two clusters, a run for each, and a group of which only one host may be out. */
function world() {
  const asked: { host: string; answer: (a: GateAnswer) => void }[] = [];
  let t = 1;
  const names = Object.keys(clusters);
  const coordinator: Coordinator = new Coordinator({
    store: new MemoryStore(),
    agents: { send: () => {} },
    gate: { ask: ({ host }, answer) => void asked.push({ host, answer }) },
    clock: { engineMs: () => t, wallMs: () => t },
    roster: {
      host: () => ({ connected: true, sinceT: 0, lastSeen: "", cordonedByOperator: false }),
      cluster: (name) => clusters[name],
      members: (cluster) => names.filter((n) => clusters[n] === cluster),
      inventories: (cluster) => names.filter((n) => clusters[n] === cluster).map(picture),
      pool: () => defaultPool,
    },
    trouble: () => {},
  });
  coordinator.restore();
  const out = () => names.filter((n) => coordinator.cordonHolders(n).length > 0);
  return {
    coordinator,
    asked,
    out,
    start: (run: string, ...hosts: string[]) =>
      coordinator.start({
        run,
        scope: { kind: "hosts", names: hosts },
        options: optionsOf({ op: "drain" }),
        hosts: hosts.map((name) => ({ name, cluster: clusters[name] ?? "", wave: 1 })),
        startedBy: "alice",
        requestId: run,
      }),
    settle: () => {
      for (let i = 0; i < 50 && coordinator.hasWork; i++) coordinator.flush();
    },
    /** The group's own rule, with what is out at this very moment. */
    answerNext: () => {
      const question = asked.shift();
      question?.answer(
        out().length === 0
          ? { verdict: "ok", reasons: [] }
          : { verdict: "deny", reasons: [{ rule: "quorum", subject: "g", text: `${out()} is out`, fix: "" }] },
      );
    },
    pass: (ms: number) => {
      t += ms;
      coordinator.tick();
    },
  };
}

test("two runs that share a group are let go one after the other", () => {
  const w = world();
  w.start("r1", "hv1");
  w.start("r2", "hv2");
  w.settle();
  expect(w.asked.map((a) => a.host)).toEqual(["hv1"]);
  w.answerNext();
  // Answered, and not durable yet: the other one still waits.
  expect(w.asked).toEqual([]);
  w.settle();
  expect(w.out()).toEqual(["hv1"]);
  expect(w.asked.map((a) => a.host)).toEqual(["hv2"]);
  w.answerNext();
  w.settle();
  expect(w.out()).toEqual(["hv1"]);
});

test("hosts of one run in different clusters are let go one after the other, too", () => {
  const w = world();
  w.start("r1", "hv1", "hv2");
  w.settle();
  expect(w.asked.map((a) => a.host)).toEqual(["hv1"]);
  w.answerNext();
  w.settle();
  expect(w.out()).toEqual(["hv1"]);
  expect(w.asked.map((a) => a.host)).toEqual(["hv2"]);
  w.answerNext();
  w.settle();
  expect(w.out()).toEqual(["hv1"]);
});

test("a no makes room at once", () => {
  const w = world();
  w.start("r1", "hv1");
  w.start("r2", "hv2");
  w.settle();
  w.asked.shift()?.answer({ verdict: "unknown", reasons: [{ rule: "x", subject: "g", text: "who knows", fix: "" }] });
  w.settle();
  expect(w.asked.map((a) => a.host)).toEqual(["hv2"]);
});

test("a yes that a paused run does not act on is kept for as long as it could be acted on", () => {
  const w = world();
  w.start("r1", "hv1");
  w.start("r2", "hv2");
  w.settle();
  w.coordinator.command("r1", { kind: "pause", reason: "" }, "alice");
  w.answerNext();
  w.settle();
  expect(w.asked).toEqual([]);
  w.pass(31_000);
  w.settle();
  expect(w.asked.map((a) => a.host)).toEqual(["hv2"]);
  w.answerNext();
  w.settle();
  expect(w.out()).toEqual(["hv2"]);
  w.coordinator.command("r1", { kind: "resume", reason: "" }, "alice");
  w.settle();
  expect(w.out()).toEqual(["hv2"]);
  expect(w.asked.map((a) => a.host)).toEqual(["hv1"]);
});

test("a question that is withdrawn makes room", () => {
  const w = world();
  w.start("r1", "hv1");
  w.start("r2", "hv2");
  w.settle();
  const [first] = w.asked.splice(0);
  w.coordinator.command("r1", { kind: "abort", now: false, reason: "" }, "alice");
  w.settle();
  expect(w.asked.map((a) => a.host)).toEqual(["hv2"]);
  first?.answer({ verdict: "ok", reasons: [] });
  w.settle();
  expect(w.out()).toEqual([]);
});
