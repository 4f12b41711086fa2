import { test } from "vitest";
import { quorumShare } from "./share.ts";

test("simulated pools with quorums to keep hold every invariant, part 2 of 2", () => quorumShare(1, 2));
