import { expect, test } from "vitest";
import { failureText } from "./seeded.ts";
import { seedRange } from "./share.ts";
import { runTight } from "./tight.ts";

test("simulated pools in which room has to be made keep every invariant under faults", () => {
  const { from, to } = seedRange(600);
  const made = { begun: 0, done: 0, failed: 0 };
  for (let seed = from; seed <= to; seed++) {
    const open = new Set<string>();
    const { violations } = runTight(seed, {}, ({ kind, subject, text }) => {
      if (kind !== "run") return;
      if (text.endsWith("(to make room for the host)")) {
        open.add(subject);
        made.begun++;
      } else if (open.has(subject) && /=> hv\d+ \(moved|^stays on/.test(text)) {
        open.delete(subject);
        if (text.startsWith("stays")) made.failed++;
        else made.done++;
      }
    });
    if (violations.length > 0) expect.fail(failureText(runTight, seed, "tight.test.ts"));
  }
  // Worlds in which it is never made, or always well, test nothing.
  if (to - from >= 500) for (const [what, count] of Object.entries(made)) expect(count, what).toBeGreaterThan(0);
});
