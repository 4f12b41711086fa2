import { describe, expect, test } from "vitest";
import type { Link } from "../session/session.ts";
import { type Condition, Reporter, statusLine } from "./report.ts";

const connected: Link = { state: "connected", controller: "ctl:7443" };
const quiet: Condition = { link: connected, sinceMs: 0, inHand: [], hooks: 4, hooksProblem: "", trouble: "" };
const key = { run: "r1", host: "hv1", step: "Maintenance", attempt: 1 };
const at = new Date(2026, 0, 5, 9, 30).getTime();

describe("the status line", () => {
  test.each<[Partial<Condition>, string]>([
    [{}, "connected to ctl:7443; 4 hooks"],
    [{ link: undefined, hooks: 1 }, "connecting; 1 hook"],
    [{ inHand: [{ key, acceptedAtMs: at - 12.5 * 60_000 }] }, "Maintenance of run r1 in hand 12m"],
    [{ inHand: [{ key, acceptedAtMs: at - 125 * 60_000 }] }, "in hand 2h05m"],
    [{ inHand: [{ key, acceptedAtMs: at + 60_000 }] }, "in hand for less than 1m"],
    [
      { link: { state: "disconnected", controller: "ctl:7443", reason: "no answer" }, sinceMs: at },
      "not connected since 2026-01-05 09:30: ctl:7443: no answer",
    ],
    [{ hooksProblem: "/x: no such directory" }, "no hooks: /x: no such directory"],
    [{ trouble: "the disk is full" }, "cannot keep its state: the disk is full"],
  ])("%j says %j", (more, text) => {
    expect(statusLine({ ...quiet, ...more }, at)).toContain(text);
  });
});

function supervised() {
  const said: string[] = [];
  let hookCounts = 0;
  const reporter = new Reporter({
    notifier: {
      ready: () => said.push("ready"),
      status: (text) => said.push(text),
      watchdog: () => said.push("watchdog"),
      stopping: () => said.push("stopping"),
    },
    inHand: () => [],
    hooks: () => ({ problem: "", hooks: new Array(++hookCounts) }),
    trouble: () => "",
  });
  return { said, reporter };
}

describe("the reporter", () => {
  test("is ready after the first attempt to connect, also one that failed", () => {
    const { said, reporter } = supervised();
    reporter.ticked(0, 0);
    expect(said).toEqual(["connecting; 1 hook", "watchdog"]);
    reporter.linked({ state: "disconnected", controller: "ctl:7443", reason: "no answer" }, at);
    expect(said.at(-1)).toBe("ready");
  });

  test("feeds the watchdog after each round, and says a change of the link at once", () => {
    const { said, reporter } = supervised();
    reporter.linked(connected, 0);
    for (const ms of [0, 250, 500]) reporter.ticked(ms, ms);
    expect(said).toEqual(["ready", "connected to ctl:7443; 1 hook", "watchdog", "watchdog", "watchdog"]);
    reporter.linked({ state: "disconnected", controller: "ctl:7443", reason: "gone" }, at);
    reporter.ticked(750, at);
    expect(said.at(-2)).toMatch(/^not connected since/);
  });

  test("keeps the time since when it is not connected, and counts the hooks now and then", () => {
    const { said, reporter } = supervised();
    const gone = { state: "disconnected", controller: "ctl:7443", reason: "gone" } as const;
    reporter.linked(gone, at);
    reporter.linked({ ...gone, reason: "refused" }, at + 3_600_000);
    reporter.ticked(0, at);
    expect(said.at(-2)).toBe("not connected since 2026-01-05 09:30: ctl:7443: refused; 1 hook");
    reporter.ticked(9_000, at);
    expect(said.at(-2)).toContain("; 1 hook");
    reporter.ticked(10_000, at);
    expect(said.at(-2)).toContain("; 2 hooks");
  });
});
