import { SlipwayError } from "@slipway/shared";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AsyncJobs, type JobHandle, type JobOutcome, JobStopped } from "./jobs.ts";

interface Begun {
  readonly how: "run" | "resume";
  readonly job: JobHandle;
  readonly resolve: (outcome: JobOutcome) => void;
  readonly reject: (thrown: unknown) => void;
}

let begun: Begun[];
let announced: string[];
let jobs: AsyncJobs<{ timeoutMs: number }>;
const spec = { timeoutMs: 1_000 };
beforeEach(() => {
  vi.useFakeTimers();
  begun = [];
  announced = [];
  const work = (how: Begun["how"]) => (_spec: unknown, job: JobHandle) =>
    new Promise<JobOutcome>((resolve, reject) => begun.push({ how, job, resolve, reject }));
  const announce = (id: string) => announced.push(id);
  jobs = new AsyncJobs({ run: work("run"), resume: work("resume"), announce, graceMs: 100 });
});
afterEach(() => {
  jobs.close();
  vi.useRealTimers();
});
const turn = () => vi.advanceTimersByTimeAsync(0);
const first = () => begun[0] as Begun;
function ended(id = "a") {
  const look = jobs.look(id);
  return look.state === "ended" ? look.result : undefined;
}

describe("asynchronous jobs", () => {
  it("run once, tell their progress and keep their result until it is forgotten", async () => {
    expect(jobs.look("a")).toEqual({ state: "absent" });
    jobs.start("a", spec);
    jobs.start("a", spec);
    jobs.resume("a", spec);
    expect(jobs.look("a")).toEqual({ state: "running" });
    await turn();
    expect(begun.map(({ how, job }) => [how, job.id])).toEqual([["run", "a"]]);
    first().job.progress({ percent: 40, message: "m" });
    expect(jobs.look("a")).toEqual({ state: "running", progress: { percent: 40, message: "m" } });
    first().resolve({ output: "o" });
    await turn();
    expect(announced).toEqual(["a"]);
    expect(ended()).toMatchObject({ verdict: "ok", reason: "", output: "o" });
    jobs.forget("a");
    expect(jobs.look("a")).toEqual({ state: "absent" });
  });

  it("are resumed by work of its own", async () => {
    jobs.resume("a", spec);
    await turn();
    first().resolve({ verdict: "interrupted", reason: "r" });
    await turn();
    expect(begun.map(({ how }) => how)).toEqual(["resume"]);
    expect(ended()).toMatchObject({ verdict: "interrupted", reason: "r" });
  });

  it("fail with what they throw", async () => {
    jobs.start("a", spec);
    await turn();
    first().reject(new SlipwayError("bad-input", "no such disk", { fix: "add it" }));
    await turn();
    expect(ended()).toMatchObject({ verdict: "failed", reason: "no such disk; add it" });
  });

  it("fail when they cannot even begin", async () => {
    const run = () => {
      throw new Error("at once");
    };
    const rash = new AsyncJobs({ run, resume: run, announce: (id) => announced.push(id) });
    rash.start("a", spec);
    await turn();
    expect(rash.look("a")).toMatchObject({ state: "ended", result: { verdict: "failed", reason: "at once" } });
    expect(announced).toEqual(["a"]);
  });

  it("are stopped by a cancellation: the first reason counts, and their own account of the end", async () => {
    for (const id of ["a", "b", "c"]) jobs.start(id, spec);
    await turn();
    for (const id of ["a", "b", "c"]) jobs.cancel(id, "ann asked");
    jobs.cancel("a", "bob asked");
    const reason: unknown = first().job.signal.reason;
    expect(reason).toBeInstanceOf(JobStopped);
    expect(ended()).toBeUndefined();
    begun[0]?.reject(reason);
    begun[1]?.reject(new Error("still there"));
    begun[2]?.resolve({});
    await turn();
    expect(ended("a")).toMatchObject({ verdict: "cancelled", reason: "ann asked" });
    expect(ended("b")).toMatchObject({ verdict: "cancelled", reason: "ann asked; still there" });
    expect(ended("c")).toMatchObject({ verdict: "ok", reason: "" });
  });

  it("that are cancelled before they began never begin; what was begun before is still found out", async () => {
    jobs.start("a", spec);
    jobs.resume("b", spec);
    for (const id of ["a", "b"]) jobs.cancel(id, "ann asked");
    await turn();
    expect(begun.map(({ how, job }) => [how, job.id])).toEqual([["resume", "b"]]);
    expect(ended("a")).toMatchObject({ verdict: "cancelled", reason: "ann asked" });
  });

  it("are stopped at their deadline, and given up when they do not answer", async () => {
    jobs.start("a", spec);
    jobs.start("b", spec);
    await vi.advanceTimersByTimeAsync(999);
    expect(first().job.signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    first().reject(first().job.signal.reason);
    await turn();
    expect(ended()).toMatchObject({ verdict: "timed-out", reason: "not done after 1000 ms" });
    jobs.cancel("b", "too late to be the reason");
    await vi.advanceTimersByTimeAsync(100);
    expect(ended("b")?.verdict).toBe("interrupted");
    expect(ended("b")?.reason).toMatch(/^not done after 1000 ms; no answer 100 ms after it was told to end/);
    begun[1]?.resolve({});
    await turn();
    expect(ended("b")?.verdict).toBe("interrupted");
    expect(announced).toEqual(["a", "b"]);
  });

  it("leave nothing behind when they are closed", async () => {
    jobs.start("a", spec);
    await turn();
    jobs.close();
    expect(vi.getTimerCount()).toBe(0);
    expect(first().job.signal.aborted).toBe(false);
    first().resolve({});
    await turn();
    expect(announced).toEqual([]);
  });
});
