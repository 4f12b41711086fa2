import { test } from "vitest";
import { evacuateShare } from "./share.ts";

// Several files, so that vitest spreads them over the cores.
test("simulated evacuations with faults keep every invariant, part 4 of 4", () => evacuateShare(3, 4));
