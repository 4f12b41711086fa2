// The runner: started by an executor, one per step, in a session or a systemd unit of its own. It outlives the agent, runs the
// hook, and records what became of it. Usage: node main.js STEP-DIRECTORY [UNIT]
import { spawn } from "node:child_process";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { Capture } from "./capture.ts";
import { groupMembers, oomKills } from "./cgroup.ts";
import {
  type Claim,
  HOOK_MARKER,
  names,
  type Outcome,
  readCapped,
  readJson,
  reserve,
  type Spec,
  type Started,
  takeClaim,
  writeDurably,
  writeReserved,
} from "./files.ts";
import { Forward } from "./forward.ts";
import { processesOf, processStat, signal } from "./processes.ts";
import { isGoingDown, outliveMemory, type StopCause, stopCause } from "./unit.ts";

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
/** Time the journal gets for a hook's last words once the verdict is recorded. */
const JOURNAL_MS = 5_000;
/** Time that one TERM may take to reach both hook and runner. */
const TERM_MS = 100;
/** Kept of a hook's output and requests, at each end, where there is no room for more. */
const SHORT_BYTES = 1_024;
const STDOUT = 1;

/** Name of the unit whose main process this is; undefined under the direct executor. */
const unit = process.argv[3];
/** Why systemd ends the unit; undefined as long as it does not. */
let stopping: Promise<StopCause> | undefined;
let unitTimeoutMs = Number.POSITIVE_INFINITY;

// Signals meant for the agent's group must not end the hook with it.
for (const name of ["SIGTERM", "SIGHUP", "SIGINT"] as const) process.on(name, () => {});
if (unit !== undefined)
  process.on("SIGTERM", () => {
    stopping ??= stopCause(unit, unitTimeoutMs);
  });

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
    ...(unit === undefined ? {} : { unit, invocation: process.env["INVOCATION_ID"] ?? "" }),
  };
  if (!takeClaim(dir, claim)) return;
  unitTimeoutMs = spec.timeoutMs;
  reserve(dir);
  const capture = new Capture(spec.keepBytes);
  const { ending, forward } = await runHook(dir, spec, capture);
  await record(dir, spec, capture, ending);
  if (unit === undefined) return;
  // A journal that takes nothing any more must not keep the unit alive: nothing but its own end stops a write under way.
  if (forward !== undefined && !(await forward.drained(JOURNAL_MS))) process.kill(process.pid, "SIGKILL");
  process.exitCode = exitStatus(ending);
}

/** The hook's own status, so that the host's journal shows it; 128 plus the signal's number as shells do. */
function exitStatus(ending: Ending): number {
  if (ending.startError !== "") return 203;
  if (ending.exitCode !== undefined) return ending.exitCode;
  return ending.signal === "" ? 0 : 128 + (constants.signals[ending.signal as NodeJS.Signals] ?? 0);
}

type Ending = Omit<Outcome, "output" | "outputBytes" | "requests" | "bootId">;

async function runHook(
  dir: string,
  spec: Spec,
  capture: Capture,
): Promise<{ ending: Ending; forward: Forward | undefined }> {
  const startedAtMs = Date.now();
  const startMs = performance.now();
  let forward: Forward | undefined;
  const ending = (more: Partial<Ending>): { ending: Ending; forward: Forward | undefined } => ({
    ending: {
      signal: "",
      timedOut: false,
      cancelled: false,
      cancelReason: "",
      startError: "",
      startedAtMs,
      endedAtMs: Date.now(),
      durationMs: performance.now() - startMs,
      ...more,
    },
    forward,
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
  if (unit !== undefined) {
    outliveMemory();
    forward = new Forward(STDOUT, [child.stdout, child.stderr]);
  }
  let lastDataMs = performance.now();
  const take = (source: number) => (chunk: Buffer) => {
    lastDataMs = performance.now();
    capture.add(chunk);
    forward?.add(chunk, source);
  };
  for (const [source, stream] of [child.stdout, child.stderr].entries())
    stream.on("data", take(source)).on("error", () => {});
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
  if (typeof first === "string") await endAll(spec, hook, exited, first !== "stop");
  const { code, signal: endSignal } = await exited;
  const endedAtMs = Date.now();
  const durationMs = performance.now() - startMs;
  // A hook that systemd ended did not end by itself; its end may be known before the TERM that was for both of them.
  if (unit !== undefined && (code === null || code > 128)) await sleep(TERM_MS);
  let stop = typeof first === "string" && first !== "stop" ? first : cancelWanted(dir) ? "cancel" : await stopping;
  // A hook that reboots the host by itself and ends at once: whether that reboot happens is part of the story.
  if (stop === undefined && asksForReboot(requests) && (await isGoingDown())) stop = "shutdown";
  // The end of a process may be known before its last words have been read.
  lastDataMs = performance.now();
  const drainUntilMs = performance.now() + DRAIN_MS;
  while (performance.now() < drainUntilMs && performance.now() - lastDataMs < QUIET_MS) {
    if ((await Promise.race([closed, sleep(20)])) === "closed") break;
    if (forward?.isHolding) lastDataMs = performance.now();
  }
  clearInterval(snapshots);
  for (const stream of [child.stdout, child.stderr]) stream.destroy();
  return ending({
    ...(code === null ? {} : { exitCode: code }),
    signal: endSignal ?? "",
    timedOut: stop === "timeout",
    cancelled: stop === "cancel",
    cancelReason: stop === "cancel" ? cancelReason(dir) : "",
    ...(stop === "shutdown" || stop === "outside" ? { stoppedBy: stop } : {}),
    ...(unit === undefined ? {} : { oomKills: oomKills() }),
    endedAtMs,
    durationMs,
  });
}

function spawnHook(spec: Spec, requests: string) {
  // The same for every hook, whatever the agent's own is.
  process.umask(0o022);
  return spawn(spec.program, spec.args, {
    cwd: spec.cwd,
    env: { ...spec.env, SLIPWAY_OUTPUT: requests, [HOOK_MARKER]: spec.marker },
    // A session and a process group of its own.
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Resolves when the hook must end before its time; never after it has exited. */
function stopWanted(dir: string, timeoutMs: number, exited: Promise<unknown>): Promise<"timeout" | "cancel" | "stop"> {
  return new Promise((resolve) => {
    // Node's timers are monotonic; setting the clock does not move the deadline.
    const deadline = setTimeout(() => resolve("timeout"), timeoutMs);
    const poll = setInterval(() => {
      if (cancelWanted(dir)) resolve("cancel");
      else if (stopping !== undefined) resolve("stop");
    }, CANCEL_POLL_MS);
    const clear = () => {
      clearTimeout(deadline);
      clearInterval(poll);
    };
    exited.then(clear, clear);
  });
}

/** TERM for all processes of the hook, after the grace KILL, until none is left: also those that left group and session. */
async function endAll(spec: Spec, hook: Started, exited: Promise<unknown>, sayTerm: boolean): Promise<void> {
  // Under systemd the control group knows them all, whatever they did to their environment.
  const all = () =>
    new Set([...processesOf(HOOK_MARKER, spec.marker, hook), ...(unit === undefined ? [] : groupMembers())]);
  let hasExited = false;
  exited.then(
    () => {
      hasExited = true;
    },
    () => {},
  );
  if (sayTerm) for (const pid of all()) signal(pid, "SIGTERM");
  const killAtMs = performance.now() + spec.graceMs;
  for (;;) {
    const left = all();
    if (left.size === 0 && hasExited) return;
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
  const outcome = (keepBytes?: number): string => {
    const full: Outcome = {
      ...ending,
      output: capture.text(keepBytes),
      outputBytes: capture.bytes,
      requests: readCapped(join(dir, names.requests), keepBytes ?? REQUESTS_KEEP_BYTES),
      bootId: spec.bootId,
    };
    return JSON.stringify(full);
  };
  try {
    writeDurably(dir, names.result, outcome());
    rmSync(join(dir, names.reserve), { force: true });
    return;
  } catch {
    // No room: the short form goes where room was set aside for it.
  }
  for (;;) {
    try {
      writeReserved(dir, names.result, outcome(SHORT_BYTES));
      return;
    } catch {
      // Without its directory nobody will ever ask.
      if (!existsSync(dir)) return;
      rmSync(join(dir, names.output), { force: true });
      await sleep(RETRY_MS);
    }
  }
}

function asksForReboot(requests: string): boolean {
  return /^\s*reboot\s*=\s*required\s*$/m.test(readCapped(requests, REQUESTS_KEEP_BYTES));
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
