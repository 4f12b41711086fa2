import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../testing/bench.ts";
import { Forward } from "./forward.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-forward-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

class Source {
  isPaused = false;
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
}

describe("forwarded output", () => {
  it("arrives in order and in whole lines, whatever the chunks of two streams are", async () => {
    const fd = openSync(join(dir, "out"), "w");
    const forward = new Forward(fd, []);
    for (const [text, source] of [
      ["a1 ", 0],
      ["b1\nb2 ", 1],
      ["more\na2\na3", 0],
      ["end", 1],
    ] as const)
      forward.add(Buffer.from(text), source);
    expect(await forward.drained(10_000)).toBe(true);
    closeSync(fd);
    expect(readFileSync(join(dir, "out"), "utf8")).toBe("b1\na1 more\na2\na3b2 end");
  });

  it("does not hold a line back that has no end", async () => {
    const fd = openSync(join(dir, "out"), "w");
    const forward = new Forward(fd, []);
    for (let i = 0; i < 100; i++) forward.add(Buffer.alloc(1000, "x"), 0);
    await until(() => readFileSync(join(dir, "out")).length > 60_000);
    expect(await forward.drained(10_000)).toBe(true);
    closeSync(fd);
    expect(readFileSync(join(dir, "out")).length).toBe(100_000);
  });

  it("makes the hook wait for a slow reader, but not for one that hangs, and says what is missing", async () => {
    const pipe = join(dir, "pipe");
    spawnSync("mkfifo", [pipe]);
    const fd = openSync(pipe, "r+");
    const source = new Source();
    const forward = new Forward(fd, [source]);
    const chunk = Buffer.alloc(50_000, "y");
    chunk[chunk.length - 1] = 0x0a;
    for (let i = 0; i < 40; i++) forward.add(chunk, 0);
    expect([source.isPaused, forward.isHolding]).toEqual([true, true]);
    await until(() => !source.isPaused);
    forward.add(chunk, 0);
    expect(await forward.drained(50)).toBe(false);
    // The reader wakes up.
    const reader = openSync(pipe, "r");
    let text = "";
    const buffer = Buffer.alloc(65_536);
    const { read } = await import("node:fs");
    while (!text.includes(" bytes could not"))
      text += await new Promise<string>((resolve, reject) =>
        read(reader, buffer, 0, buffer.length, null, (error, length) =>
          error === null ? resolve(buffer.toString("utf8", 0, length)) : reject(error),
        ),
      );
    const missing = Number(/\[\.\.\. (\d+) bytes could not/.exec(text)?.[1]);
    const arrived = text.split("\n").filter((line) => line.startsWith("y")).length * chunk.length;
    expect(arrived + missing).toBe(41 * chunk.length);
    expect(await forward.drained(10_000)).toBe(true);
    closeSync(reader);
    closeSync(fd);
  });
});
