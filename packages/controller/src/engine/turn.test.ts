import { expect, test } from "vitest";
import type { HostRun, Run, StepRecord } from "../domain/run.ts";
import { defaultOptions, type RunOptions, type StepName } from "../domain/words.ts";
import { controllerResult } from "./result.ts";
import { type Concern, nextOf } from "./turn.ts";

const all: Concern = { isWatched: true, hasServices: true, isOwed: true };

/** What follows on these steps, all of which went well but the one that is named as failed. */
function next(
  steps: StepName[],
  concern: Partial<Concern> = {},
  more: {
    op?: RunOptions["op"];
    failed?: StepName;
    abort?: boolean;
    resumeAt?: StepName;
    rerun?: boolean;
    from?: number;
  } = {},
) {
  const done = steps.map((step): StepRecord => {
    const plain = controllerResult(step === more.failed ? "failed" : "ok", "", 0, 0);
    const requests = { ...plain.requests, rebootRequired: true, rerunAfterReboot: true };
    const result = more.rerun && step === "Maintenance" ? { ...plain, requests } : plain;
    return { host: "hv1", step, attempt: 1, startedT: 0, startedAt: 0, endedT: 0, result };
  });
  const at = more.resumeAt ? { resumeAt: more.resumeAt } : {};
  const is = { name: "hv1", steps: done, from: more.from ?? 0, checked: true, began: true, cordoned: true, ...at };
  const host = is as unknown as HostRun;
  const options = { ...defaultOptions, op: more.op ?? "hooks" };
  const abort = more.abort ? { abort: { who: "alice", now: false, reason: "" } } : {};
  const run = { spec: { run: "r1", options }, state: "rolling", hosts: [host], ...abort } as unknown as Run;
  const none: Concern = { isWatched: false, hasServices: false, isOwed: false };
  const found = nextOf(run, host, { ...none, ...concern });
  return found.kind === "step" ? found.step : found.kind === "end" ? `${found.outcome}: ${found.code}` : found.kind;
}

const drained: StepName[] = ["inspect", "PreMaintenance", "gate", "cordon", "drain"];
const stopped: StepName[] = [...drained, "recheck", "services-stop"];

test("a host with neither systems nor services goes as ever", () => {
  expect(next(drained)).toBe("Maintenance");
  expect(next([...drained, "Maintenance"])).toBe("restore");
});

test("with both it is rechecked, its services stop, start, and heal", () => {
  expect(next(drained, all)).toBe("recheck");
  expect(next([...drained, "recheck"], all)).toBe("services-stop");
  expect(next(stopped, all)).toBe("Maintenance");
  expect(next([...stopped, "Maintenance"], all)).toBe("services-start");
  expect(next([...stopped, "Maintenance", "services-start"], { ...all, isOwed: false })).toBe("heal");
  expect(next([...stopped, "Maintenance", "services-start", "heal"], { ...all, isOwed: false })).toBe("restore");
});

test("without services the recheck is right before the work, without systems there is none", () => {
  expect(next(drained, { isWatched: true })).toBe("recheck");
  expect(next([...drained, "recheck"], { isWatched: true }, { op: "reboot" })).toBe("reboot");
  expect(next(drained, { hasServices: true })).toBe("services-stop");
  expect(next([...drained, "Maintenance"], { isWatched: true })).toBe("heal");
});

test("services that do not stop are started again", () => {
  expect(next(stopped, all, { failed: "services-stop" })).toBe("services-start");
  const undone = { ...all, isOwed: false };
  expect(next([...stopped, "services-start"], undone, { failed: "services-stop" })).toBe("heal");
  expect(next([...stopped, "services-start", "heal", "restore"], undone, { failed: "services-stop" })).toBe("uncordon");
});

test("services that do not start keep the host out", () => {
  const steps: StepName[] = [...stopped, "Maintenance", "services-start"];
  expect(next(steps, all, { failed: "services-start" })).toBe("failed: services-start-failed");
  expect(next(steps, all, { failed: "services-start", abort: true })).toBe("failed: services-start-failed");
});

test("an abort starts what was stopped and waits for no healing", () => {
  expect(next(stopped, all, { abort: true })).toBe("services-start");
  expect(next([...stopped, "services-start"], { ...all, isOwed: false }, { abort: true })).toBe("restore");
  expect(next([...drained, "recheck"], { ...all, isOwed: false }, { abort: true })).toBe("restore");
});

test("a drain ends with its services down, a restore begins with them", () => {
  expect(next(["gate", "cordon", "drain"], all, { op: "drain" })).toBe("recheck");
  expect(next(["gate", "cordon", "drain"], { isWatched: true }, { op: "drain" })).toBe("updated: drained");
  expect(next(["gate", "cordon", "drain", "recheck", "services-stop"], all, { op: "drain" })).toBe("updated: drained");
  expect(next([], all, { op: "restore" })).toBe("services-start");
  expect(next([], { isWatched: true }, { op: "restore" })).toBe("heal");
  expect(next([], {}, { op: "restore" })).toBe("restore");
});

test("work that is tried again on a host that is out is asked about first: it may have booted since", () => {
  expect(next([], all, { resumeAt: "Maintenance" })).toBe("recheck");
  expect(next([], { hasServices: true }, { resumeAt: "Maintenance" })).toBe("services-stop");
  expect(next([], {}, { resumeAt: "Maintenance" })).toBe("Maintenance");
  expect(next(["recheck", "services-stop"], all, { resumeAt: "reboot" })).toBe("reboot");
  expect(next(["recheck", "services-stop", "reboot"], all, { resumeAt: "reboot" })).toBe("services-start");
  expect(next([], all, { resumeAt: "restore" })).toBe("restore");
});

test("a boot starts services: they stop again before Maintenance runs again after it", () => {
  const booted: StepName[] = [...stopped, "Maintenance", "reboot"];
  expect(next(booted, all, { rerun: true })).toBe("recheck");
  expect(next([...booted, "recheck", "services-stop"], all, { rerun: true })).toBe("Maintenance");
  expect(next([...booted, "recheck", "services-stop", "Maintenance"], all, { rerun: true })).toBe("reboot");
  expect(next(booted, {}, { rerun: true })).toBe("Maintenance");
});

test("a host whose work had begun is not put back because its services do not stop, or on an abort", () => {
  const again = { resumeAt: "Maintenance" } as const;
  expect(next(["recheck", "services-stop"], all, { ...again, failed: "services-stop" })).toBe(
    "failed: services-stop-failed",
  );
  expect(next(["drain"], all, { ...again, failed: "drain" })).toBe("failed: drain-failed");
  const booted: StepName[] = [...stopped, "Maintenance", "reboot", "services-stop"];
  expect(next(booted, all, { rerun: true, failed: "services-stop" })).toBe("failed: services-stop-failed");
  const failed: StepName[] = [...stopped, "Maintenance"];
  const tried = { ...again, failed: "Maintenance", from: failed.length } as const;
  expect(next([...failed, "recheck"], all, { ...tried, abort: true })).toBe("failed: maintenance-failed");
  expect(next([...failed, "recheck"], all, tried)).toBe("services-stop");
});
