import type { ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Reading } from "./reader.ts";
import { Watch } from "./watch.ts";

let reading: Reading;
let reads: number;
let streams: (EventEmitter & { stdout: PassThrough; stderr: PassThrough; kill: () => void })[];
let watch: Watch;
const changes: number[] = [];
const heard: string[] = [];
let pauseMs: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  reading = { platform: "libvirt", problem: "", instances: [] };
  reads = 0;
  streams = [];
  changes.length = 0;
  heard.length = 0;
  pauseMs = 1_000;
  watch = new Watch({
    read: async () => {
      reads++;
      return reading;
    },
    events: () => {
      const stream = Object.assign(new EventEmitter(), {
        stdout: new PassThrough(),
        stderr: new PassThrough(),
        kill: () => {},
      });
      streams.push(stream);
      return stream as unknown as ChildProcess;
    },
    monotonicMs: () => performance.now(),
    log: () => {},
    hear: (text) => heard.push(text),
    pauseMs: () => pauseMs,
    changed: ({ seq }) => changes.push(seq),
  });
  watch.start();
});
afterEach(() => {
  watch.close();
  vi.useRealTimers();
});
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe("the picture of the host", () => {
  test("is read at once, then every 30 s", async () => {
    expect(watch.inventory).toBeUndefined();
    await pass(0);
    expect([reads, watch.inventory?.seq]).toEqual([1, 1]);
    await pass(60_100);
    expect(reads).toBe(3);
    expect(watch.readAtMs).toBeGreaterThan(59_000);
    expect(changes).toEqual([1]);
  });

  test("is read once for several events at once, and has a new number when it is another one", async () => {
    await pass(0);
    reading = { ...reading, platform: "changed" };
    for (let n = 0; n < 5; n++) streams[0]?.stdout.write("event 'lifecycle' for domain 'g1': Started Booted\n");
    await pass(1_100);
    expect([reads, watch.inventory?.seq, watch.inventory?.platform]).toEqual([2, 2, "changed"]);
  });

  test("is not read for events that change nothing in it, and not without end for those that come without end", async () => {
    await pass(2_000);
    for (const event of ["rtc-change' for domain 'g1': 0", "migration-iteration' for domain 'g1': iteration: '2'"])
      streams[0]?.stdout.write(`event '${event}\n`);
    await pass(5_000);
    expect(reads).toBe(1);
    streams[0]?.stdout.write("event 'migration-iteration' for domain 'g1': iteration: '1'\n");
    await pass(300);
    expect(reads).toBe(2);
    for (let n = 0; n < 100; n++) {
      streams[0]?.stdout.write("event 'lifecycle' for domain 'g1': Resumed Unpaused\n");
      await pass(100);
    }
    expect(reads).toBeLessThanOrEqual(12);
    expect(reads).toBeGreaterThanOrEqual(9);
  });

  test("is read less often while whoever owns it says so, and what was said is passed on", async () => {
    await pass(2_000);
    pauseMs = 3_000;
    for (let n = 0; n < 70; n++) {
      streams[0]?.stdout.write("event 'lifecycle' for domain 'g1': Resumed Unpaused\n");
      await pass(100);
    }
    expect(reads).toBe(4);
    expect(heard.join("")).toBe("event 'lifecycle' for domain 'g1': Resumed Unpaused\n".repeat(70));
  });

  test("is a problem while libvirt cannot be read, asked again soon", async () => {
    await pass(0);
    reading = { platform: "libvirt", problem: "libvirt: failed to connect", instances: [] };
    await pass(30_000);
    expect(watch.inventory).toMatchObject({ seq: 2, problem: "libvirt: failed to connect", instances: [] });
    const before = reads;
    await pass(20_100);
    expect(reads - before).toBe(4);
  });

  test("is read anew when the stream of events breaks and when it is there again, with growing pauses", async () => {
    await pass(0);
    streams[0]?.emit("close");
    await pass(500);
    expect([reads, streams.length]).toEqual([2, 1]);
    await pass(1_000);
    expect([reads, streams.length]).toEqual([3, 2]);
    for (let n = 1; n < 4; n++) {
      streams[n]?.emit("close");
      await pass(11_000);
    }
    expect(streams.length).toBe(5);
    streams[4]?.emit("close");
    await pass(15_000);
    expect(streams.length).toBe(5);
    await pass(16_000);
    expect(streams.length).toBe(6);
  });

  test("is no older than the call that asks for a fresh one", async () => {
    await pass(0);
    reading = { ...reading, platform: "fresh" };
    await watch.refresh();
    expect(watch.inventory?.platform).toBe("fresh");
  });
});
