import { test } from "vitest";
import { runShare } from "./share.ts";

// Several files, so that vitest spreads them over the cores.
test("simulated runs with faults keep every invariant, part 4 of 4", () => runShare(3, 4));
