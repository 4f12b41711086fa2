import { describe, expect, test } from "vitest";
import type { Look } from "../../domain/action.ts";
import { type Side, settleMove } from "./settle-move.ts";

const look = (over: Partial<Look>): Look => ({
  ...{ problem: "", present: true, state: "running", job: "", generation: 2, bytes: 0, downtimeMs: 0 },
  ...over,
});

const sides: Readonly<Record<string, readonly Side[]>> = {
  alive: [look({}), look({ state: "paused" }), look({ state: "suspended" })],
  busy: [
    look({ job: "migrating-out" }),
    look({ state: "paused", job: "migrating-in" }),
    look({ state: "incoming" }),
    look({ state: "shutoff", job: "saving" }),
  ],
  off: [look({ state: "shutoff" })],
  crashed: [look({ state: "crashed" })],
  absent: [look({ present: false, state: "" })],
  unknown: [
    undefined,
    look({ problem: "libvirtd does not answer" }),
    look({ problem: "libvirtd does not answer", present: false }),
    look({ state: "unknown" }),
    look({ state: "dreaming" }),
  ],
};

/** source: target -> verdict; "-" stands for a discard on the other side. */
const table: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  alive: {
    alive: "doubled",
    off: "stayed, discard target",
    crashed: "stayed, discard target",
    absent: "stayed",
    unknown: "stayed",
  },
  off: { alive: "moved, discard source", off: "off at source", crashed: "off at source", absent: "off at source" },
  crashed: {
    alive: "moved, discard source",
    off: "crashed at source",
    crashed: "crashed at source",
    absent: "crashed at source",
  },
  absent: { alive: "moved", off: "off at target", crashed: "crashed at target", absent: "lost" },
};

function expected(from: string, to: string): string {
  if (from === "busy" || to === "busy") return "still-moving";
  if (from === "unknown") return to === "unknown" ? "unknown: source, target" : "unknown: source";
  return table[from]?.[to] ?? "unknown: target";
}

function text(source: Side, target: Side): string {
  const v = settleMove(source, target);
  switch (v.kind) {
    case "moved":
    case "stayed":
      return v.discard ? `${v.kind}, discard ${v.discard}` : v.kind;
    case "off":
      return `${v.crashed ? "crashed" : "off"} at ${v.at}`;
    case "unknown":
      return `unknown: ${v.who.join(", ")}`;
    default:
      return v.kind;
  }
}

describe("where an instance is, with a source that says it is", () => {
  for (const [from, sources] of Object.entries(sides))
    for (const [to, targets] of Object.entries(sides))
      test(`${from} and a target that says it is ${to}: ${expected(from, to)}`, () => {
        for (const source of sources)
          for (const target of targets) expect(text(source, target)).toBe(expected(from, to));
      });
});

test("nothing is ever discarded on a side that does not itself say that it is stopped there", () => {
  const all = Object.values(sides).flat();
  for (const source of all)
    for (const target of all) {
      const v = settleMove(source, target);
      if (v.kind === "moved" && v.discard) expect(["shutoff", "crashed"]).toContain(source?.state);
      if (v.kind === "stayed" && v.discard) expect(["shutoff", "crashed"]).toContain(target?.state);
    }
});
