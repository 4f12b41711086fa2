// The runner: started by the direct executor, one per step, in a session of its own. It outlives the agent, runs the hook,
// and records what became of it. Usage: node main.js STEP-DIRECTORY
import { spawn } from "node:child_process";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Capture } from "./capture.ts";
import {
  type Claim,
  HOOK_MARKER,
  names,
  type Outcome,
  readCapped,
  readJson,
  type Spec,
  type Started,
  takeClaim,
  writeDurably,
} from "./files.ts";
import { processesOf, processStat, signal } from "./processes.ts";

/** How often the cancel file is looked for. */
const CANCEL_POLL_MS = 100;
/** A background child may hold the hook's streams open for ever: after the hook's end they are read until so long a silence ... */
const QUIET_MS = 200;
/** ... and no longer than this. */
const DRAIN_MS = 2_000;
/** How often the processes that must end are looked at. */
const SWEEP_MS = 50;
const SNAPSHOT_MS = 1_000;
const RETRY_MS = 500;
const REQUESTS_KEEP_BYTES = 64 * 1024;

// Signals meant for the agent's group must not end the hook with it.
for (const name of ["SIGTERM", "SIGHUP", "SIGINT"] as const) process.on(name, () => {});

let cancelSignalled = false;
process.on("SIGUSR2", () => {
  cancelSignalled = true;
});

async function run(dir: string): Promise<void> {
  const spec = readJson<Spec>(dir, names.spec);
  const self = processStat(process.pid);
  if (spec === undefined || self === undefined) return;
  const claim: Claim = {
    id: spec.id,
    pid: process.pid,
    startTime: self.startTime,
    bootId: spec.bootId,
    claimedAtMs: Date.now(),
  };
  if (!takeClaim(dir, claim)) return;
  const capture = new Capture(spec.keepBytes);
  const outcome = await runHook(dir, spec, capture);
  await record(dir, spec, capture, outcome);
}

type Ending = Omit<Outcome, "output" | "outputBytes" | "requests" | "bootId">;

async function runHook(dir: string, spec: Spec, capture: Capture): Promise<Ending> {
  const startedAtMs = Date.now();
  const startMs = performance.now();
  const ending = (more: Partial<Ending>): Ending => ({
    signal: "",
    timedOut: false,
    cancelled: false,
    cancelReason: "",
    startError: "",
    startedAtMs,
    endedAtMs: Date.now(),
    durationMs: performance.now() - startMs,
    ...more,
  });
  if (cancelWanted(dir)) return ending({ cancelled: true, cancelReason: cancelReason(dir) });
  const requests = join(dir, names.requests);
  try {
    writeFileSync(requests, "", { mode: 0o600, flag: "a" });
  } catch {
    // A full disk: the hook can still run, it just cannot say anything until there is room.
  }
  let child: ReturnType<typeof spawnHook>;
  try {
    child = spawnHook(spec, requests);
  } catch (thrown) {
    return ending({ startError: startError(thrown) });
  }
  let startFailure: unknown;
  child.on("error", (thrown) => {
    startFailure ??= thrown;
  });
  if (child.pid === undefined) {
    await new Promise((resolve) => setImmediate(resolve));
    return ending({ startError: startError(startFailure) });
  }
  const hook: Started = { pid: child.pid, startTime: processStat(child.pid)?.startTime ?? "" };
  let lastDataMs = performance.now();
  const take = (chunk: Buffer) => {
    lastDataMs = performance.now();
    capture.add(chunk);
  };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", take).on("error", () => {});
  const closed = new Promise<"closed">((resolve) => child.on("close", () => resolve("closed")));
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.on("exit", (code, name) => resolve({ code, signal: name })),
  );
  try {
    writeDurably(dir, names.started, JSON.stringify(hook));
  } catch {
    // Only a help for cleaning up after a killed runner; the marker finds the hook's processes without it.
  }
  const snapshots = setInterval(() => snapshot(dir, capture), SNAPSHOT_MS);
  const first = await Promise.race([exited, stopWanted(dir, spec.timeoutMs, exited)]);
  let stop: "timeout" | "cancel" | undefined;
  if (typeof first === "string") {
    stop = first;
    await endAll(spec, hook, exited);
  }
  const { code, signal: endSignal } = await exited;
  const endedAtMs = Date.now();
  const durationMs = performance.now() - startMs;
  // The end of a process may be known before its last words have been read.
  lastDataMs = performance.now();
  const drainUntilMs = performance.now() + DRAIN_MS;
  while (performance.now() < drainUntilMs && performance.now() - lastDataMs < QUIET_MS) {
    if ((await Promise.race([closed, sleep(20)])) === "closed") break;
  }
  clearInterval(snapshots);
  for (const stream of [child.stdout, child.stderr]) stream.destroy();
  return ending({
    ...(code === null ? {} : { exitCode: code }),
    signal: endSignal ?? "",
    timedOut: stop === "timeout",
    cancelled: stop === "cancel",
    cancelReason: stop === "cancel" ? cancelReason(dir) : "",
    endedAtMs,
    durationMs,
  });
}

function spawnHook(spec: Spec, requests: string) {
  return spawn(spec.program, spec.args, {
    cwd: spec.cwd,
    env: { ...spec.env, SLIPWAY_OUTPUT: requests, [HOOK_MARKER]: spec.marker },
    // A session and a process group of its own.
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Resolves when the hook must end before its time; never after it has exited. */
function stopWanted(dir: string, timeoutMs: number, exited: Promise<unknown>): Promise<"timeout" | "cancel"> {
  return new Promise((resolve) => {
    // Node's timers are monotonic; setting the clock does not move the deadline.
    const deadline = setTimeout(() => resolve("timeout"), timeoutMs);
    const poll = setInterval(() => {
      if (cancelWanted(dir)) resolve("cancel");
    }, CANCEL_POLL_MS);
    const clear = () => {
      clearTimeout(deadline);
      clearInterval(poll);
    };
    exited.then(clear, clear);
  });
}

/** TERM for all processes of the hook, after the grace KILL, until none is left: also those that left group and session. */
async function endAll(spec: Spec, hook: Started, exited: Promise<unknown>): Promise<void> {
  let hasExited = false;
  exited.then(
    () => {
      hasExited = true;
    },
    () => {},
  );
  for (const pid of processesOf(HOOK_MARKER, spec.marker, hook)) signal(pid, "SIGTERM");
  const killAtMs = performance.now() + spec.graceMs;
  for (;;) {
    const left = processesOf(HOOK_MARKER, spec.marker, hook);
    if (left.length === 0 && hasExited) return;
    if (performance.now() >= killAtMs) {
      // The group first: it takes those with it that were forked since the look.
      if (!hasExited) signal(-hook.pid, "SIGKILL");
      for (const pid of left) signal(pid, "SIGKILL");
    }
    await sleep(SWEEP_MS);
  }
}

/** Writes the result; without room it waits for it rather than lose the verdict, and asks for less. */
async function record(dir: string, spec: Spec, capture: Capture, ending: Ending): Promise<void> {
  for (let keepBytes: number | undefined; ; keepBytes = 1024) {
    try {
      const outcome: Outcome = {
        ...ending,
        output: capture.text(keepBytes),
        outputBytes: capture.bytes,
        requests: readCapped(join(dir, names.requests), REQUESTS_KEEP_BYTES),
        bootId: spec.bootId,
      };
      writeDurably(dir, names.result, JSON.stringify(outcome));
      return;
    } catch {
      // Without its directory nobody will ever ask.
      if (!existsSync(dir)) return;
      rmSync(join(dir, names.output), { force: true });
      await sleep(RETRY_MS);
    }
  }
}

let snapshotBytes = 0;

/** For the case that the runner is killed: how far the hook's output had come. */
function snapshot(dir: string, capture: Capture): void {
  if (capture.bytes === snapshotBytes) return;
  snapshotBytes = capture.bytes;
  const path = join(dir, names.output);
  try {
    writeFileSync(`${path}.tmp`, JSON.stringify({ output: capture.text(), outputBytes: capture.bytes }), {
      mode: 0o600,
    });
    renameSync(`${path}.tmp`, path);
  } catch {
    rmSync(`${path}.tmp`, { force: true });
  }
}

function cancelWanted(dir: string): boolean {
  return cancelSignalled || existsSync(join(dir, names.cancel));
}

function cancelReason(dir: string): string {
  try {
    return readFileSync(join(dir, names.cancel), "utf8");
  } catch {
    return "cancelled";
  }
}

function startError(thrown: unknown): string {
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code ?? "unknown error";
  const words: Record<string, string> = {
    EACCES: "it, or its interpreter, must not be executed here (mode, or a noexec mount)",
    ENOENT: "it, or the interpreter in its first line, does not exist",
    E2BIG: "its arguments are longer than the system takes",
    EAGAIN: "the system has no process left for it",
    ENOMEM: "the system has no memory left for it",
    ETXTBSY: "somebody has it open for writing",
  };
  return `cannot be started: ${words[code] ?? (thrown instanceof Error ? thrown.message : String(thrown))} (${code})`;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// Last, so that everything above is initialised.
await run(process.argv[2] ?? "");
