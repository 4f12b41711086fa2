import { setTimeout as sleep } from "node:timers/promises";
import { type InstanceVerb, SlipwayError } from "@slipway/shared";
import { said } from "../../probes/answer.ts";
import type { InstanceSpec } from "../../steps/types.ts";
import type { JobHandle, JobOutcome } from "../jobs.ts";
import { addressOf, instancesOf, isUp, lookOf, nameOf, uuidOf } from "./instances.ts";
import type { FleetReader, Picture } from "./reader.ts";
import { UNIT_PATTERN } from "./tables.ts";

/** What this agent has unloaded and not started again, across its restarts. */
export interface Notes {
  write(uuid: string): void;
  has(uuid: string): boolean;
  remove(uuid: string): void;
}

export interface Verbs {
  readonly reader: FleetReader;
  readonly notes: Notes;
  /** Between two looks, in milliseconds. */
  readonly pollMs: number;
  /** A unit that was unloaded is waited for this long after the stop of its job, in milliseconds: nobody else would start it again. */
  readonly lastMs: number;
}

/** One job on one unit: what it does, and what was asked and came back. */
interface Work extends Verbs {
  readonly unit: string;
  readonly uuid: string;
  readonly job: JobHandle;
  readonly lines: string[];
}

/** Does what a step asks for. What it throws is why it was not done; the unit is then as it says. */
export async function perform(verbs: Verbs, spec: InstanceSpec, job: JobHandle): Promise<JobOutcome> {
  const work: Work = { ...verbs, ...checked(spec), job, lines: [] };
  return withOutput(work, await doing[spec.verb](work, spec));
}

/** Finds out what became of it; begins nothing anew, but starts again what this agent had unloaded. */
export async function takeUp(verbs: Verbs, spec: InstanceSpec, job: JobHandle): Promise<JobOutcome> {
  const work: Work = { ...verbs, ...checked(spec), job, lines: [] };
  if (spec.verb === "look" || spec.verb === "admit" || spec.verb === "withdraw") return perform(verbs, spec, job);
  if (spec.verb === "move" && verbs.notes.has(spec.uuid)) return withOutput(work, await startAgain(work, spec));
  return interrupted(work, spec.verb, await verbs.reader.read());
}

type Doing = (work: Work, spec: InstanceSpec) => Promise<JobOutcome>;

const doing: Readonly<Record<InstanceVerb, Doing>> = {
  look: async (work) => at(work, await work.reader.read()),
  admit,
  // Nothing was promised.
  withdraw: async (work) => at(work, await work.reader.read()),
  move,
  start,
  stop,
  save: () => refuse("fleet saves no memory", "give it the policy failover or shutdown-restart"),
  resume: () => refuse("fleet knows no pause", "look at the guest itself"),
  discard: async (work) => {
    const picture = await work.reader.read();
    if (!lookOf(work.uuid, picture).present) return at(work, picture);
    return refuse(`${work.unit} belongs to this machine`, "fleet keeps one of each unit: nothing of it is left over");
  },
};

async function start(work: Work): Promise<JobOutcome> {
  const before = await mustRun(work);
  const { state } = lookOf(work.uuid, before);
  if (state === "running" && isWanted(work, before)) return at(work, before);
  await command(work, "start");
  const after = await launched(work);
  const where = placeOf(work, after);
  return at(work, after, where === after.machine ? "" : `fleet started it on ${nameOf(where, after.machines)}`);
}

async function stop(work: Work): Promise<JobOutcome> {
  const before = await mustRun(work);
  if (!isWanted(work, before) && !isAnywhere(work, before)) return at(work, before);
  await command(work, "stop");
  return at(work, await until(work, "stopping", (p) => p.isRunning && !isWanted(work, p) && !isAnywhere(work, p)));
}

/**
 * Failover: unloaded here, and started again once it is gone. fleet itself would start it elsewhere while it still stops here, so
 * nothing is started before both fleet and this host's systemd say that it does not run. Which machine gets it is fleet's choice.
 */
async function move(work: Work, spec: InstanceSpec): Promise<JobOutcome> {
  const before = await mustRun(work);
  const found = instancesOf(before).find((one) => one.uuid === work.uuid);
  if (found?.state !== "running")
    return refuse(`${work.unit} is ${found?.state ?? "not"} on this machine`, "look where it is: fleetctl list-units");
  if (found.pinned !== "")
    return refuse(`fleet starts ${work.unit} on this machine only (${found.pinned})`, "take that out of its unit file");
  if (before.machines.length < 2) return refuse("fleet has no other machine", "start fleet on another one");
  // Nothing has been touched yet.
  work.job.signal.throwIfAborted();
  work.notes.write(work.uuid);
  await command(work, "unload");
  return startAgain(work, spec);
}

async function startAgain(work: Work, { move: options }: InstanceSpec): Promise<JobOutcome> {
  const { unit, uuid, notes } = work;
  const isOverdue = patience(work);
  try {
    const isSo = (p: Picture) =>
      isWanted(work, p) || (p.files.get(unit)?.wanted === "inactive" && !isAnywhere(work, p));
    const gone = await until(work, "stopping", isSo, isOverdue);
    if (!isWanted(work, gone)) await wantAgain(work, isOverdue);
  } catch (thrown) {
    const { message } = SlipwayError.from(thrown);
    throw new Error(
      `${unit} was unloaded and is not started again (${message}); once it has stopped: fleetctl start ${unit}`,
    );
  }
  notes.remove(uuid);
  const after = await launched(work);
  const where = placeOf(work, after);
  const name = nameOf(where, after.machines);
  if (where === after.machine)
    return { ...at(work, after), verdict: "failed", reason: "fleet started it on this machine again" };
  const isAsked = options === undefined || options.uri === "" || options.uri === addressOf(where);
  const but = isAsked ? "" : `, not on ${options.to}: the choice is fleet's`;
  return at(work, after, `fleet started it on ${name}${but}`);
}

/** A unit that was unloaded is this job's alone: it is started again even when the job is to end, for as long as there is time. */
function patience({ job, lastMs }: Work): () => boolean {
  let sinceMs: number | undefined;
  return () => {
    if (job.signal.aborted) sinceMs ??= performance.now();
    return sinceMs !== undefined && performance.now() - sinceMs > lastMs;
  };
}

/** Has it started until fleet says that it shall be launched. */
async function wantAgain(work: Work, isOverdue: () => boolean): Promise<void> {
  for (;;) {
    let problem = "fleet does not take it";
    try {
      await command(work, "start");
      if (isWanted(work, await work.reader.read())) return;
    } catch (thrown) {
      problem = SlipwayError.from(thrown).message;
    }
    if (isOverdue()) throw new Error(problem);
    await sleep(work.pollMs);
  }
}

/** This host lets it in as far as its unit file does; what it conflicts with is placement's to see. Whether it comes is fleet's choice. */
async function admit(work: Work, { instance }: InstanceSpec): Promise<JobOutcome> {
  const picture = await mustRun(work);
  const machines = instance?.metadata["fleet.machines"];
  if (machines !== undefined && !machines.split(" ").includes(addressOf(picture.machine)))
    return refuse(
      `fleet does not start ${work.unit} on this machine`,
      "see MachineMetadata and MachineID in its unit file",
    );
  return at(work, picture);
}

/** What a restarted agent finds. */
function interrupted(work: Work, verb: InstanceVerb, picture: Picture): JobOutcome {
  const look = lookOf(work.uuid, picture);
  const where = placeOf(work, picture);
  const isElsewhere = where !== "" && where !== picture.machine;
  const isDone =
    (verb === "start" && where !== "") ||
    (verb === "stop" && picture.isRunning && !isAnywhere(work, picture)) ||
    (verb === "move" && isElsewhere && !look.present) ||
    (verb === "discard" && !look.present);
  const what = isElsewhere
    ? `it runs on ${nameOf(where, picture.machines)}`
    : look.present
      ? `it is ${look.state} here`
      : "it is not here";
  if (isDone) return at(work, picture, what);
  return { ...at(work, picture), verdict: "interrupted", reason: `the agent was restarted meanwhile, and ${what}` };
}

/** The picture, if fleetd runs here and knows the unit. */
async function mustRun({ reader, unit }: Work): Promise<Picture> {
  const picture = await reader.read();
  if (!picture.isRunning)
    return refuse("fleet is stopped on this host", "start it: systemctl start fleet.socket fleet");
  if (!picture.files.has(unit)) return refuse(`fleet knows no unit ${unit}`, "see fleetctl list-unit-files");
  return picture;
}

/** Tells fleet. What its exit status says of stop and unload is nothing; the states say it, and are waited for by the caller. */
async function command(work: Work, verb: "start" | "stop" | "unload"): Promise<void> {
  const argv = [verb, "--no-block", work.unit];
  const answer = await work.reader.fleetctl(argv);
  work.lines.push(`fleetctl ${argv.join(" ")}: ${said(answer) || answer.problem || "nothing said"}`);
  if (answer.problem !== "" || answer.timedOut)
    throw new Error(`fleetctl ${verb}: ${answer.problem || "no answer in time"}; whether it was taken is not known`);
}

/** Waits until fleet has the unit where it wants it, and it runs there. */
function launched(work: Work): Promise<Picture> {
  return until(work, "starting", (p) => {
    const file = p.files.get(work.unit);
    const failed = p.states.find((s) => s.unit === work.unit && s.active === "failed" && s.machine === file?.machine);
    if (file?.wanted === "launched" && failed)
      throw new Error(`${work.unit} failed on ${nameOf(failed.machine, p.machines)} (${failed.sub})`);
    return file?.wanted === "launched" && file.state === "launched" && placeOf(work, p) !== "";
  });
}

/** Reads until it is so. When it is over, by default with the job, an error says what is. */
async function until(
  work: Work,
  message: string,
  isSo: (picture: Picture) => boolean,
  isOver = () => work.job.signal.aborted,
): Promise<Picture> {
  const { job, pollMs, reader, unit } = work;
  let problem = "";
  let what = "not known";
  for (;;) {
    const picture = await reader.read().catch((thrown: unknown) => {
      problem = thrown instanceof Error ? thrown.message : String(thrown);
      return undefined;
    });
    if (picture !== undefined) {
      problem = "";
      if (isSo(picture)) return picture;
      const file = picture.files.get(unit);
      if (file)
        what = `it shall be ${file.wanted} and is ${file.state || "global"}${file.machine === "" ? ", on no machine" : ` on ${nameOf(file.machine, picture.machines)}`}`;
    }
    job.progress({ message: problem || `${message}: ${what}` });
    if (isOver()) throw new Error(problem === "" ? what : `${what}; ${problem}`);
    // The end of the job is seen at once, and not waited for again and again where it is not the end of this.
    await sleep(pollMs, undefined, job.signal.aborted ? {} : { signal: job.signal }).catch(() => {});
  }
}

function isWanted({ unit }: Work, { files }: Picture): boolean {
  return files.get(unit)?.wanted === "launched";
}

/** Does any machine run it, by fleet's word or that of this host's systemd? */
function isAnywhere({ unit }: Work, { local, states }: Picture): boolean {
  return isUp(local.get(unit)?.active ?? "") || states.some((s) => s.unit === unit && isUp(s.active));
}

/** Id of the machine that runs it; empty: none does. */
function placeOf({ unit }: Work, { states }: Picture): string {
  return states.find((s) => s.unit === unit && s.active === "active")?.machine ?? "";
}

function at({ uuid }: Work, picture: Picture, reason = ""): JobOutcome {
  return { instance: lookOf(uuid, picture), reason };
}

function withOutput({ lines }: Work, outcome: JobOutcome): JobOutcome {
  return lines.length === 0 ? outcome : { ...outcome, output: `${lines.join("\n")}\n` };
}

/** The name is what fleetctl is given, so it has to be a unit's, and of the one that is meant. */
function checked({ name, uuid, verb }: InstanceSpec): { unit: string; uuid: string } {
  if (!UNIT_PATTERN.test(name))
    return refuse(`${JSON.stringify(name)} is no name of a unit`, "see fleetctl list-unit-files");
  if (uuid !== uuidOf(name) && verb !== "look" && verb !== "discard")
    return refuse(
      `${uuid} is not unit ${name}, or a global one, which fleet has on every machine`,
      "leave it to fleet",
    );
  return { unit: name, uuid };
}

function refuse(text: string, fix: string): never {
  throw new SlipwayError("refused", text, { fix });
}
