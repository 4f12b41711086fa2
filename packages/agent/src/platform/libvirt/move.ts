import { setTimeout as sleep } from "node:timers/promises";
import { type InstanceLook, type MoveOptions, SlipwayError } from "@slipway/shared";
import type { InstanceSpec } from "../../steps/types.ts";
import { type JobHandle, type JobOutcome, JobStopped } from "../jobs.ts";
import type { Departure, Departures } from "./departures.ts";
import { inWords, lookAt, nothing, type Seen, toLook } from "./look.ts";
import { mustLook, progressOf, refused } from "./power.ts";
import { readJob } from "./reader.ts";
import type { Answer, Virsh } from "./virsh.ts";
import type { JobInfo } from "./words.ts";

const POLL_MS = 1_000;
const DEFAULT_STUCK_MS = 60_000;
/** Between two requests to abort: in some phases libvirt refuses, and a little later it does not. */
const ABORT_AGAIN_MS = 2_000;
/** The step's own deadline is the bound. */
const LONG_MS = 24 * 3_600_000;
/** An unreachable target is asked this often before its word is missing. */
const ASK_TARGET = 3;
/** libvirt's event that a guest has left comes a moment before virsh ends, over another connection. */
const EVENT_MS = 150;

/** What has to be known of an instance before it moves. */
export type Known = Pick<Seen, "present" | "isActive" | "job" | "autostart" | "persistent" | "saved">;

/** What has to be known of a move after the agent that began it is gone. */
export interface MoveNote {
  readonly autostart: boolean;
}

export interface MoveOptionsOfHost {
  readonly virsh: Virsh;
  /** libvirt of another host. */
  readonly at: (uri: string) => Virsh;
  /** What a reading just now had of a running instance; undefined: it has to be looked at. Default: it always is. */
  readonly known?: (uuid: string) => Known | undefined;
  /** What events tell of migrations. Default: nothing. */
  readonly departures?: Departures;
  /** Between two looks, in milliseconds. Default 1000. */
  readonly pollMs?: number;
  readonly notes: {
    /** Durable when it returns. */
    readonly write: (uuid: string, note: MoveNote) => void;
    readonly read: (uuid: string) => MoveNote | undefined;
    readonly remove: (uuid: string) => void;
  };
}

/**
 * Moves an instance to another host, peer to peer: the two libvirtd do it, virsh only waits for them. A running guest goes live,
 * a paused one stays paused, of one that is shut off the definition goes. Aborted, it stays where it is.
 */
export async function move(host: MoveOptionsOfHost, spec: InstanceSpec, job: JobHandle): Promise<JobOutcome> {
  const { virsh, notes } = host;
  const { uuid, move: options } = spec;
  if (options === undefined) throw new SlipwayError("bad-input", `move of ${spec.name}: no target`);
  checkOptions(options);
  const before: Known = host.known?.(uuid) ?? (await mustLook(virsh, uuid));
  if (!before.present) throw refused("it is not here", "look where it is: slipway instance show");
  if (before.job !== "") throw refused(`it is ${before.job} already`, "wait for that to end");
  const { autostart, persistent } = before;
  if (before.saved && !before.isActive)
    throw refused("its memory is saved on this host, which does not move", "start it first");
  notes.write(uuid, { autostart });
  if (options.downtimeMs > 0 && before.isActive) {
    const answer = await virsh.run(["migrate-setmaxdowntime", uuid, String(options.downtimeMs)]);
    if (answer.state !== "ok") throw new Error(`its longest pause cannot be set: ${answer.text}`);
  }
  const args = before.isActive ? liveArguments(spec, persistent) : offlineArguments(spec);
  const departure = before.isActive ? host.departures?.expect(spec.name) : undefined;
  try {
    const migration = virsh.run(args, { timeoutMs: LONG_MS });
    const watch = await follow(host, spec, job, migration, departure);
    return await conclude(host, spec, job, { autostart }, watch, "failed");
  } finally {
    departure?.close();
  }
}

/** What became of a move that an earlier process of the agent began; waits for the end of one that goes on. */
export async function resumedMove(host: MoveOptionsOfHost, spec: InstanceSpec, job: JobHandle): Promise<JobOutcome> {
  const note = host.notes.read(spec.uuid);
  const watch = await follow(host, spec, job, undefined);
  return await conclude(host, spec, job, note, watch, "interrupted");
}

function liveArguments({ uuid, move }: InstanceSpec, persistent: boolean): string[] {
  const args = ["migrate", "--domain", uuid, "--desturi", move?.uri ?? "", "--p2p", "--live", "--abort-on-error"];
  // A transient guest stays one.
  if (persistent) args.push("--persistent", "--undefinesource");
  if (move === undefined) return args;
  if (move.address !== "") args.push("--migrateuri", move.address);
  if (move.storage !== "") {
    args.push(move.storage === "inc" ? "--copy-storage-inc" : "--copy-storage-all");
    if (move.disks.length > 0) args.push("--migrate-disks", move.disks.join(","));
  }
  if (move.bandwidthMib > 0) args.push("--bandwidth", String(move.bandwidthMib));
  if (move.autoConverge) args.push("--auto-converge");
  if (move.postCopy) args.push("--postcopy", "--postcopy-after-precopy");
  return args;
}

function offlineArguments({ uuid, move }: InstanceSpec): string[] {
  const flags = ["--p2p", "--offline", "--persistent", "--undefinesource"];
  return ["migrate", "--domain", uuid, "--desturi", move?.uri ?? "", ...flags];
}

// libvirt's URIs can name programs to run (transport ext, parameter command); what comes over the wire must not.
const URI = /^qemu\+(?:tls|tcp):\/\/(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?\/system$/;
const ADDRESS = /^(?:tcp|rdma):\/\/(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;

/** Errors: `bad-input`, naming the option and what would be right. */
export function checkOptions({ to, uri, address, storage, disks }: MoveOptions): void {
  const bad = (what: string, value: string, fix: string) =>
    new SlipwayError("bad-input", `move to ${to}: ${what} ${JSON.stringify(value)}`, { fix });
  if (!URI.test(uri))
    throw bad("libvirt URI", uri, "it looks like qemu+tls://HOST/system; see slipway-agent doctor there");
  if (address !== "" && !ADDRESS.test(address)) throw bad("migration address", address, "it looks like tcp://10.1.0.2");
  if (!["", "all", "inc"].includes(storage)) throw bad("storage", storage, 'say "all", "inc" or nothing');
  for (const disk of disks)
    if (!/^[a-z]{1,8}[a-z0-9]{0,8}$/.test(disk)) throw bad("disk", disk, "name it as the guest does: vda");
}

interface Watched {
  /** What virsh said; undefined when nobody of this process ran it. */
  readonly answer: Answer | undefined;
  /** The last that libvirt told of the migration. */
  readonly info: JobInfo | undefined;
  /** It was aborted for want of progress. */
  readonly isStuck: boolean;
  /** virsh has ended well, and libvirt has told by an event that it has left: what that took. Then nobody was asked. */
  readonly left?: JobInfo;
  /** What was here and on the target when it was over. */
  readonly here: Seen;
  readonly there: Seen;
}

/** Watches a migration to its end: until virsh has ended, where there is one, and libvirt has no job with it any more. */
async function follow(
  { virsh, at, pollMs = POLL_MS }: MoveOptionsOfHost,
  spec: InstanceSpec,
  job: JobHandle,
  migration: Promise<Answer> | undefined,
  departure?: Departure,
): Promise<Watched> {
  const target = at(spec.move?.uri ?? "");
  const stuckMs = spec.move?.stuckMs || DEFAULT_STUCK_MS;
  let answer: Answer | undefined;
  const ended = migration?.then((said) => {
    answer = said;
  });
  let info: JobInfo | undefined;
  let sent = -1;
  let sentMs = performance.now();
  let abortedMs = Number.NEGATIVE_INFINITY;
  let isStuck = false;
  for (;;) {
    // Its end is noticed at once. What is asked before tells little, at a time when both hosts have much to do: so it is asked seldom.
    if (ended !== undefined && answer === undefined) await Promise.race([ended, sleep(2 * pollMs)]);
    const isEnding = migration === undefined || answer !== undefined;
    const left = answer?.state === "ok" ? await departure?.left(EVENT_MS) : undefined;
    if (left !== undefined) return { answer, info, isStuck, left, here: nothing, there: nothing };
    if (isEnding) {
      // Both sides at once: this is the time by which a move takes longer than virsh alone.
      const there = answer?.state === "ok" ? ask(target, spec.uuid, pollMs) : undefined;
      const seen = await lookAt(virsh, spec.uuid);
      // Without an answer there is no end either: libvirtd may just be starting anew.
      const isOver = seen.problem === "" ? !seen.isActive || !isLeaving(seen.job) : job.signal.aborted;
      if (isOver) return { answer, info, isStuck, here: seen, there: await (there ?? ask(target, spec.uuid, pollMs)) };
    }
    const now = await readJob(virsh, spec.uuid);
    const isGoing = now.type === "running" && now.operation !== "migrating-in";
    if (isGoing) {
      info = now;
      const pass = (now.iteration ?? 0) > 1 ? `, pass ${now.iteration}` : "";
      const said = progressOf(now.processed, now.total, "migrating");
      job.progress({ ...said, message: `${said.message}${pass}` });
    }
    if ((now.processed ?? 0) > sent) {
      sent = now.processed ?? 0;
      sentMs = performance.now();
    }
    // A migration that sends nothing at all is stuck. One that sends without getting nearer its end has its deadline.
    isStuck ||= isGoing && performance.now() - sentMs > stuckMs;
    if ((isStuck || job.signal.aborted) && isGoing && performance.now() - abortedMs > ABORT_AGAIN_MS) {
      abortedMs = performance.now();
      await virsh.run(["domjobabort", spec.uuid]);
    }
    if (isEnding) await sleep(pollMs);
  }
}

/** A job of which it is not known what it is may be the migration. */
function isLeaving(job: string): boolean {
  return job === "migrating-out" || job === "busy" || job === "unknown";
}

/** The verdict, by what both sides say now. */
async function conclude(
  host: MoveOptionsOfHost,
  spec: InstanceSpec,
  job: JobHandle,
  note: MoveNote | undefined,
  { answer, info, isStuck, left, here, there }: Watched,
  unmoved: "failed" | "interrupted",
): Promise<JobOutcome> {
  const { notes } = host;
  const { uuid, move: options } = spec;
  const to = options?.to || options?.uri || "the target";
  const said = answer === undefined || answer.state === "ok" ? "" : answer.text;
  const output = said;
  const unknown = (reason: string): JobOutcome => ({
    verdict: "interrupted",
    reason: said === "" ? reason : `${reason}; ${said}`,
    output,
    instance: toLook(here),
  });
  // The target runs it before the source lets go of it, and each of the two has been told by one of them.
  if (left !== undefined) {
    const autostart = await carryAutostart(host.at(options?.uri ?? ""), uuid, note, to);
    notes.remove(uuid);
    const instance = toLook(nothing, BigInt(left.processed ?? 0), left.downtimeMs ?? 0);
    return { verdict: "ok", reason: autostart.join("; "), output, instance };
  }
  if (here.problem !== "") return unknown(`libvirt here cannot be asked (${here.problem})`);
  const target = host.at(options?.uri ?? "");
  if (here.isActive) {
    if (there.isActive && there.state !== "incoming")
      return unknown(`it is ${inWords(here)} here and ${inWords(there)} on ${to}`);
    // Part of its memory is on the target: neither half can go on alone.
    if (here.stateReason.startsWith("post-copy") && here.state === "paused")
      return unknown(`it is ${inWords(here)}, on its way to ${to}`);
    notes.remove(uuid);
    const stayed = `it is still here, ${inWords(here)}`;
    const instance = toLook(here);
    if (isStuck)
      return { verdict: "failed", reason: `aborted, nothing was sent for too long; ${stayed}`, output, instance };
    const stop: unknown = job.signal.aborted ? job.signal.reason : undefined;
    if (stop instanceof JobStopped)
      return { verdict: stop.verdict, reason: `${stop.message}; ${stayed}`, output, instance };
    if (unmoved === "interrupted")
      return { verdict: unmoved, reason: `the agent was restarted meanwhile; ${stayed}`, output, instance };
    return { verdict: "failed", reason: said === "" ? stayed : `${said}; ${stayed}`, output, instance };
  }
  if (there.problem !== "") return unknown(`it is ${inWords(here)}, and ${to} cannot be asked (${there.problem})`);
  if (!there.present && !here.present) return unknown(`it is neither here nor on ${to}`);
  // It ended while it moved, or its definition did not go.
  if (here.present && !there.isActive && there.state !== "incoming") {
    notes.remove(uuid);
    const reason = said || `it is ${inWords(here)}, and ${inWords(there)} on ${to}`;
    return { verdict: unmoved, reason, output, instance: toLook(here) };
  }
  if (there.state === "incoming") return unknown(`it is ${inWords(here)}, and still arriving on ${to}`);
  const autostart = await carryAutostart(target, uuid, note, to);
  const leftover = here.present ? [`its definition is still here, ${inWords(here)}`] : [];
  notes.remove(uuid);
  return {
    verdict: "ok",
    reason: [...leftover, ...autostart].join("; "),
    output,
    instance: measured(there, here, info),
  };
}

async function ask(target: Virsh, uuid: string, pollMs: number): Promise<Seen> {
  for (let n = 1; ; n++) {
    const seen = await lookAt(target, uuid);
    if ((seen.problem === "" && seen.state !== "incoming") || n >= ASK_TARGET) return seen;
    await sleep(pollMs);
  }
}

/** libvirt moves the definition, and forgets whether it starts with its host. */
async function carryAutostart(target: Virsh, uuid: string, note: MoveNote | undefined, to: string): Promise<string[]> {
  if (note === undefined) return [`whether it is to start with ${to} is not known any more`];
  if (!note.autostart) return [];
  const answer = await target.run(["autostart", uuid]);
  return answer.state === "ok" ? [] : [`autostart is not set on ${to}: ${answer.text}`];
}

/** What it took; the host that received it keeps the account, and disks are in the sender's only. */
function measured({ ended }: Seen, here: Seen, info: JobInfo | undefined): InstanceLook {
  const isOfMove = ended.type === "ended" && ended.operation === "migrating-in";
  const bytes = Math.max(isOfMove ? (ended.processed ?? 0) : 0, info?.processed ?? 0);
  return toLook(here, BigInt(bytes), isOfMove ? (ended.downtimeMs ?? 0) : 0);
}
