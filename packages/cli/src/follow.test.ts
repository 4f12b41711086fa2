import { afterEach, beforeEach, expect, test } from "vitest";
import { run } from "./program.ts";
import { FakeIo, FakeOperator } from "./testing/fakeOperator.ts";

let fake: FakeOperator;
beforeEach(async () => {
  fake = new FakeOperator();
  await fake.start();
});
afterEach(() => fake.remove());

const line = (seq: bigint, text = `line ${seq}`) => ({
  message: { case: "line" as const, value: { seq, atMs: 0n, subject: "run r1", text } },
});
const snapshot = (state: string, outcome = "") => ({
  message: { case: "snapshot" as const, value: { run: "r1", state, outcome } },
});

test("a controller that dies and returns is followed on, each line once, to the true end", async () => {
  const asked: bigint[] = [];
  fake.handlers.getRun = () => ({ run: { run: "r1" } });
  fake.handlers.getReport = () => ({ report: { run: "r1", outcome: "failed" } });
  fake.handlers.watchRun = (call) => {
    asked.push(call.request.afterSeq);
    call.write(snapshot("rolling"));
    if (asked.length === 1) {
      call.write(line(1n));
      call.write(line(2n));
      setTimeout(() => {
        fake.die();
        setTimeout(() => void fake.start(), 300);
      }, 100);
      return;
    }
    // An orderly end of the stream without an end of the run is a death too.
    if (asked.length === 2) return void call.end();
    call.write(line(2n));
    call.write(line(2n, "line two again"));
    call.write(line(3n));
    call.write(snapshot("ended", "failed"));
    call.end();
  };
  const io = new FakeIo({ SLIPWAY_CONFIG: fake.config });
  expect(await run(["watch", "r1"], io)).toBe(1);
  expect(io.stdout.match(/line [\dt]/g)).toEqual(["line 1", "line 2", "line t", "line 3"]);
  expect(asked).toEqual([0n, 1n, 1n]);
  expect(io.stderr).toMatch(/is away; the run goes on[^\n]*\nslipway: the controller is back\n/);
});

test("a lost answer of StartRun is asked for again with the same request id", async () => {
  const ids: string[] = [];
  fake.handlers.startRun = async ({ requestId }) => {
    ids.push(requestId);
    if (ids.length === 1) {
      fake.die();
      setTimeout(() => void fake.start(), 200);
      return new Promise(() => {});
    }
    return { run: "r1" };
  };
  const io = new FakeIo({ SLIPWAY_CONFIG: fake.config });
  expect(await run(["start", "--hosts", "hv1", "--detach", "--json"], io)).toBe(0);
  expect(io.stdout).toBe('{"run":"r1"}\n');
  expect(ids).toHaveLength(2);
  expect(ids[0]).toBe(ids[1]);
  expect(io.stderr).toMatch(/asking again/);
});

test("a run that the controller refuses to show ends the following", async () => {
  fake.handlers.getRun = () => ({ run: { run: "r1" } });
  fake.handlers.watchRun = (call) => {
    call.emit("error", { code: 7, details: "viewer may not" });
  };
  const io = new FakeIo({ SLIPWAY_CONFIG: fake.config });
  expect(await run(["watch", "r1"], io)).toBe(1);
  expect(io.stderr).toBe("slipway: viewer may not\n");
});
