import { describe, expect, test } from "vitest";
import { createNotifier, noNotifier, SystemdNotifier } from "./notifier.ts";

/** Collects messages; each is on its way until `arrive` is called. */
function wire() {
  const sent: string[][] = [];
  let arrived: (() => void) | undefined;
  const deliver = (assignments: readonly string[]) =>
    new Promise<void>((resolve) => {
      sent.push([...assignments]);
      arrived = resolve;
    });
  const arrive = async () => {
    arrived?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { sent, deliver, arrive };
}

describe("messages", () => {
  test("a status is sent when it changes, and ready once", async () => {
    const { sent, deliver, arrive } = wire();
    const notifier = new SystemdNotifier(deliver, 0, () => 0);
    notifier.ready();
    await arrive();
    notifier.ready();
    notifier.status("a");
    await arrive();
    notifier.status("a");
    notifier.status("b");
    expect(sent).toEqual([["READY=1"], ["STATUS=a"], ["STATUS=b"]]);
  });

  test("what becomes due while a message is on its way goes out as one, with the newest status", async () => {
    const { sent, deliver, arrive } = wire();
    const notifier = new SystemdNotifier(deliver, 30_000, () => 0);
    notifier.status("starting");
    notifier.ready();
    notifier.status("a");
    notifier.watchdog();
    notifier.status("b");
    expect(sent).toHaveLength(1);
    await arrive();
    expect(sent.slice(1)).toEqual([["READY=1", "STATUS=b", "WATCHDOG=1"]]);
    await arrive();
    expect(sent).toHaveLength(2);
  });

  test("a status is one line of bounded length", () => {
    const { sent, deliver } = wire();
    new SystemdNotifier(deliver, 0, () => 0).status(`a\nREADY=1 ${"x".repeat(1_000)}`);
    expect(sent[0]?.[0]).toMatch(/^STATUS=a READY=1 x+$/);
    expect(sent[0]?.[0]?.length).toBeLessThan(400);
  });
});

describe("watchdog", () => {
  test("is fed by rounds of work, at a third of its time", async () => {
    const { sent, deliver, arrive } = wire();
    let nowMs = 0;
    const notifier = new SystemdNotifier(deliver, 30_000, () => nowMs);
    for (; nowMs <= 30_000; nowMs += 250) {
      notifier.watchdog();
      await arrive();
    }
    expect(sent).toEqual([["WATCHDOG=1"], ["WATCHDOG=1"], ["WATCHDOG=1"], ["WATCHDOG=1"]]);
  });

  test("is left alone when systemd does not watch, or watches another process", async () => {
    for (const env of [{}, { WATCHDOG_USEC: "30000000", WATCHDOG_PID: "1" }]) {
      const { sent, deliver } = wire();
      createNotifier({ NOTIFY_SOCKET: "/x", ...env }, deliver).watchdog();
      expect(sent).toEqual([]);
    }
    const { sent, deliver } = wire();
    const env = { NOTIFY_SOCKET: "/x", WATCHDOG_USEC: "30000000", WATCHDOG_PID: String(process.pid) };
    createNotifier(env, deliver).watchdog();
    expect(sent).toEqual([["WATCHDOG=1"]]);
  });
});

test("without a supervisor nothing is started", () => {
  expect(createNotifier({})).toBe(noNotifier);
});
