// Verbs that change whether an instance runs here. None of them forces anything: there is no destroy in Slipway.
import { setTimeout as sleep } from "node:timers/promises";
import { SlipwayError } from "@slipway/shared";
import type { InstanceSpec } from "../../steps/types.ts";
import type { JobHandle, JobOutcome } from "../jobs.ts";
import { inWords, lookAt, type Seen, toLook } from "./look.ts";
import { readJob } from "./reader.ts";
import type { Virsh } from "./virsh.ts";

const POLL_MS = 500;
/** A guest that was booting when its power button was pressed has not heard it. */
const PRESS_AGAIN_MS = 30_000;
/** A guest that was told to stop by an earlier process of the agent gets this long to be seen off. */
const RESUMED_STOP_MS = 60_000;
/** Memory of a large guest takes its time to be written or read; the step's own deadline is the bound. */
const LONG_MS = 24 * 3_600_000;

/** Shuts it down in the guest, by its agent or its power button, and waits. */
export async function stop(virsh: Virsh, { uuid }: InstanceSpec, job: JobHandle): Promise<JobOutcome> {
  const before = await mustLook(virsh, uuid);
  if (!before.isActive) return done(before);
  if (before.state === "paused")
    throw refused(`it is ${inWords(before)} and hears nothing`, "resume it first, or leave it as it is");
  let pressedMs = Number.NEGATIVE_INFINITY;
  let refusal = "";
  for (;;) {
    if (performance.now() - pressedMs >= PRESS_AGAIN_MS) {
      const answer = await virsh.run(["shutdown", uuid, "--mode", "agent,acpi"]);
      refusal = answer.state === "ok" ? "" : answer.text;
      pressedMs = performance.now();
      job.progress({ message: refusal === "" ? "told to shut down" : `cannot be told to shut down: ${refusal}` });
    }
    const seen = await lookAt(virsh, uuid);
    if (seen.problem === "" && !seen.isActive) return done(seen);
    if (job.signal.aborted) throw new Error(`it is still ${inWords(seen)}${refusal === "" ? "" : `: ${refusal}`}`);
    await pause(job);
  }
}

/** Saves its memory to this host's disk; its next start goes on from there. */
export async function save(virsh: Virsh, { uuid }: InstanceSpec, job: JobHandle): Promise<JobOutcome> {
  const before = await mustLook(virsh, uuid);
  if (!before.isActive) {
    if (before.saved) return done(before);
    throw refused(`it is ${inWords(before)}, there is no memory to save`, "leave it as it is");
  }
  const saving = virsh.run(["managedsave", uuid], { timeoutMs: LONG_MS });
  const answer = await watched(virsh, uuid, saving, job);
  const after = await settled(virsh, uuid);
  if (after.problem === "" && !after.isActive && after.saved) return done(after);
  throw new Error(`it is ${inWords(after)}: ${answer.text || "its memory was not saved"}`);
}

/** Starts it, from its saved memory where there is some. */
export async function start(virsh: Virsh, { uuid }: InstanceSpec, job: JobHandle): Promise<JobOutcome> {
  const before = await mustLook(virsh, uuid);
  if (before.isActive) return done(before);
  const starting = virsh.run(["start", uuid], { timeoutMs: LONG_MS });
  const answer = await watched(virsh, uuid, starting, job);
  const after = await settled(virsh, uuid);
  if (after.isActive) return done(after);
  throw new Error(`it is ${inWords(after)}: ${answer.text || "it did not start"}`);
}

/** Lets a paused one, or one that sleeps, run on. */
export async function resume(virsh: Virsh, { uuid }: InstanceSpec): Promise<JobOutcome> {
  const before = await mustLook(virsh, uuid);
  if (before.state === "running") return done(before);
  if (!before.isActive) throw refused(`it is ${inWords(before)}`, "start it instead");
  const answer = await virsh.run([before.state === "suspended" ? "dompmwakeup" : "resume", uuid]);
  const after = await lookAt(virsh, uuid);
  if (after.state === "running") return done(after);
  throw new Error(`it is ${inWords(after)}: ${answer.text || "it did not go on"}`);
}

/** Removes a stopped definition; its disks, its firmware's variables and its TPM's state stay where they are. */
export async function discard(virsh: Virsh, { uuid }: InstanceSpec): Promise<JobOutcome> {
  const before = await mustLook(virsh, uuid);
  if (!before.present) return done(before);
  if (before.state !== "shutoff") throw refused(`it is ${inWords(before)}`, "only what is shut off is removed");
  if (before.saved) throw refused("its memory is saved on this host", "virsh managedsave-remove throws that away");
  const words = ["undefine", uuid, "--keep-nvram"];
  let answer = await virsh.run([...words, "--keep-tpm"]);
  // Before libvirt 8.9 there was no such option, and the state was kept.
  if (answer.text.includes("keep-tpm")) answer = await virsh.run(words);
  const after = await lookAt(virsh, uuid);
  if (after.problem === "" && !after.present) return done(after);
  throw new Error(`it is still ${inWords(after)}: ${answer.text}`);
}

/** What became of one of these that an earlier process of the agent began. */
export async function resumed(virsh: Virsh, { uuid, verb }: InstanceSpec, job: JobHandle): Promise<JobOutcome> {
  const untilMs = performance.now() + (verb === "stop" ? RESUMED_STOP_MS : 0);
  let seen = await mustLook(virsh, uuid);
  while ((verb === "stop" && seen.isActive && performance.now() < untilMs) || isBusy(seen)) {
    if (job.signal.aborted) break;
    await pause(job);
    seen = await mustLook(virsh, uuid);
  }
  const isDone =
    (verb === "stop" && !seen.isActive) ||
    (verb === "save" && !seen.isActive && seen.saved) ||
    (verb === "start" && seen.isActive) ||
    (verb === "resume" && seen.state === "running") ||
    (verb === "discard" && !seen.present);
  if (isDone) return done(seen);
  const reason = `the agent was restarted meanwhile, and it is ${inWords(seen)}`;
  return { verdict: "interrupted", reason, instance: toLook(seen) };
}

function isBusy({ job }: Seen): boolean {
  return job === "saving" || job === "restoring" || job === "starting";
}

/** Waits for a command that libvirtd works on; a stop of the job aborts what can be aborted. */
export async function watched<T>(virsh: Virsh, uuid: string, work: Promise<T>, job: JobHandle): Promise<T> {
  let isOver = false;
  const over = work.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await Promise.race([over, sleep(POLL_MS * 2)]);
    if (isOver) break;
    const info = await readJob(virsh, uuid);
    if (info.type === "running") job.progress(progressOf(info.processed, info.total, info.operation));
    if (job.signal.aborted && info.type === "running") await virsh.run(["domjobabort", uuid]);
  }
  return over;
}

export function progressOf(processed: number | undefined, total: number | undefined, what: string) {
  if (processed === undefined || total === undefined || total === 0) return { message: what };
  const mib = (bytes: number) => Math.round(bytes / 1024 ** 2);
  const percent = Math.min(99, Math.floor((processed / Math.max(processed, total)) * 100));
  return { percent, message: `${what}: ${mib(processed)} of ${mib(total)} MiB` };
}

/** Looks until nothing is under way any more: virsh may have ended before libvirtd has. */
async function settled(virsh: Virsh, uuid: string): Promise<Seen> {
  for (let n = 0; ; n++) {
    const seen = await lookAt(virsh, uuid);
    if (!isBusy(seen) || n >= 20) return seen;
    await sleep(POLL_MS);
  }
}

export async function mustLook(virsh: Virsh, uuid: string): Promise<Seen> {
  const seen = await lookAt(virsh, uuid);
  if (seen.problem !== "") throw new Error(seen.problem);
  return seen;
}

export function refused(text: string, fix: string): SlipwayError {
  return new SlipwayError("refused", text, { fix });
}

function done(seen: Seen): JobOutcome {
  return { instance: toLook(seen) };
}

export async function pause(job: JobHandle, ms = POLL_MS): Promise<void> {
  await sleep(ms, undefined, { signal: job.signal }).catch(() => {});
}
