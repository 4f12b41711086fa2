import { describe, expect, test } from "vitest";
import type { HostRecord } from "../store/hosts.ts";
import { WorkLoop } from "./loop.ts";
import { lastSeenText, Registry } from "./registry.ts";
import { Session, type SessionCall } from "./session.ts";

const facts = (cluster: string) => ({
  labels: { cluster },
  bootId: "",
  agentVersion: "",
  kernel: "",
  nodeVersion: "",
  executor: "",
  hooks: { dir: "", problem: "", hooks: [] },
});

describe("the registry", () => {
  function make(records: HostRecord[] = []) {
    const saved: HostRecord[] = [];
    let full = false;
    const memory = {
      all: () => records,
      save: (rs: Iterable<HostRecord>) => {
        if (full) throw new Error("full");
        saved.push(...rs);
      },
      setCordon: () => {},
    };
    const clock = { engineMs: () => 7, wallMs: () => 1_700_000_000_000 };
    return { registry: new Registry(memory, clock), saved, fill: (f: boolean) => (full = f) };
  }

  test("keeps hosts in the order in which people count, and clusters with their members", () => {
    const { registry } = make();
    for (const name of ["hv10", "hv2", "hv1", "hv3"]) registry.connected(name, facts(name === "hv3" ? "c2" : "c1"));
    expect(registry.names()).toEqual(["hv1", "hv2", "hv3", "hv10"]);
    expect(registry.members("c1")).toEqual(["hv1", "hv2", "hv10"]);
    registry.connected("hv2", facts("c2"));
    expect([registry.members("c1"), registry.members("c2")]).toEqual([
      ["hv1", "hv10"],
      ["hv2", "hv3"],
    ]);
    expect(registry.cluster("hv2")).toBe("c2");
    expect(registry.cluster("hv9")).toBeUndefined();
  });

  test("knows hosts of earlier, disconnected since its own start", () => {
    const { registry } = make([{ name: "hv1", facts: facts("c1"), lastSeenMs: 1_699_999_999_000 }]);
    expect(registry.host("hv1")).toEqual({
      connected: false,
      labels: { cluster: "c1" },
      sinceT: 7,
      lastSeen: "last seen 2023-11-14T22:13:19Z",
      cordonedByOperator: false,
    });
    expect(lastSeenText(0)).toBe("never seen");
  });

  test("saves what has changed, once, and again what could not be saved", () => {
    const { registry, saved, fill } = make();
    registry.connected("hv1", facts("c1"));
    fill(true);
    expect(() => registry.save()).toThrow("full");
    fill(false);
    registry.save();
    registry.save();
    expect(saved.map((r) => r.name)).toEqual(["hv1"]);
    registry.seen("hv1");
    expect(registry.hasUnsaved).toBe(false);
  });
});

describe("the work loop", () => {
  test("gathers what is asked for in one turn, and does the rest even when one task has no room", async () => {
    const done: string[] = [];
    let room = false;
    const loop = new WorkLoop(
      [
        () => {
          done.push("a");
          return room;
        },
        () => {
          done.push("b");
          return true;
        },
      ],
      () => done.push("after"),
    );
    loop.schedule();
    loop.schedule();
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).toEqual(["a", "b", "after"]);
    // It waits a moment before it tries again, however often it is asked to.
    loop.schedule();
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).toHaveLength(3);
    room = true;
    loop.stop();
    expect(done).toHaveLength(6);
    loop.schedule();
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).toHaveLength(6);
  });
});

describe("a session", () => {
  function make(drains: boolean) {
    const written: unknown[] = [];
    const ends: unknown[] = [];
    const call: SessionCall = {
      write: (message, done) => {
        written.push(message);
        if (drains) done();
        return drains;
      },
      emit: (_event, status) => ends.push(status) > 0,
      end: () => ends.push("end"),
    };
    const cut: Session[] = [];
    return { session: new Session("hv1", "i1", call, (s) => cut.push(s)), written, ends, cut };
  }
  const big = { message: { case: "query", value: {} } } as const;

  test("is cut when what it is sent piles up, not when it drains", () => {
    for (const drains of [true, false]) {
      const { session, cut } = make(drains);
      for (let i = 0; i < 10; i++) session.send(big, 1_000_000);
      expect(cut.length > 0).toBe(!drains);
    }
  });

  test("acknowledges all of a turn in one message, and nothing once it is closed", () => {
    const { session, written, ends } = make(true);
    for (const id of [1n, 2n, 0n, 3n]) session.ack(id);
    session.sendAcks();
    session.sendAcks();
    expect(written).toEqual([{ message: { case: "ack", value: { outboxIds: [1n, 2n, 3n] } } }]);
    session.ack(4n);
    session.close({ code: 10, details: "replaced" });
    session.close();
    session.sendAcks();
    expect(written).toHaveLength(1);
    expect(ends).toEqual([{ code: 10, details: "replaced" }]);
  });

  test("a question about hooks ends with its answer, its time, or the session", async () => {
    const { session, written } = make(true);
    const answered = session.refreshHooks(10_000);
    session.hooksRefreshed(1n);
    expect(await answered).toBe(true);
    expect(await session.refreshHooks(5)).toBe(false);
    const open = session.refreshHooks(10_000);
    session.close();
    expect(await open).toBe(false);
    expect(await session.refreshHooks(10_000)).toBe(false);
    expect(written).toHaveLength(3);
  });
});
