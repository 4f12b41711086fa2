import { existsSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Bench } from "../../testing/bench.ts";

let bench: Bench;
beforeEach(() => {
  bench = new Bench("direct");
});
afterEach(() => bench.remove());

describe("a hook under the direct executor", () => {
  it("may leave a background process behind that holds its streams", async () => {
    const hook = bench.script('sleep 300 & echo $! > "$DIR/child"; echo done');
    const result = await bench.run("a", bench.task(hook));
    expect(result).toMatchObject({ exitCode: 0, output: "done\n" });
    const child = Number(bench.read("child"));
    expect(existsSync(`/proc/${child}`)).toBe(true);
    process.kill(child, "SIGKILL");
  });
});
