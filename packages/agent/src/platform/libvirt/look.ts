import type { InstanceLook } from "@slipway/shared";
import { isActive, readJob } from "./reader.ts";
import type { Answer, Virsh } from "./virsh.ts";
import { type JobInfo, jobWord, parseJob, parseState, parseUuids } from "./words.ts";

/** What a host's libvirt says of one instance right now. */
export interface Seen extends InstanceLook {
  /** It has a process there. */
  readonly isActive: boolean;
  readonly stateReason: string;
  readonly autostart: boolean;
  readonly persistent: boolean;
  readonly saved: boolean;
  /** The last job of it that ended there. */
  readonly ended: JobInfo;
}

/** A host that has nothing of it. */
export const nothing: Seen = {
  problem: "",
  present: false,
  state: "",
  stateReason: "",
  job: "",
  generation: 0,
  bytes: 0n,
  downtimeMs: 0,
  isActive: false,
  autostart: false,
  persistent: false,
  saved: false,
  ended: { type: "unknown", operation: "" },
};

/** Asks. "Not there" comes from a list that was printed whole; everything else that went wrong is a problem. */
export async function lookAt(virsh: Virsh, uuid: string): Promise<Seen> {
  const answer = await virsh.batch([
    "list --all --uuid",
    "list --all --uuid --autostart",
    "list --all --uuid --persistent",
    "list --all --uuid --with-managed-save",
    `domstats --state --raw --nowait ${uuid}`,
    `domjobinfo --rawstats ${uuid}`,
    `domjobinfo --completed --keep-completed --rawstats ${uuid}`,
  ]);
  if (answer.state !== "ok") return { ...nothing, problem: answer.text };
  const isIn = (at: number) => parseUuids(answer.sections[at] ?? "")?.includes(uuid) === true;
  const { state, reason } = parseState(answer.sections[4] ?? "");
  if (!isIn(0) || state === "unknown") {
    // Nothing else was wrong, so the list was whole.
    if (answer.text === `failed to get domain '${uuid}'`) return nothing;
    // Going as a migration ends, or a batch that lost its connection: only a list asked for alone has a status.
    const known = await listed(virsh);
    if (!Array.isArray(known)) return { ...nothing, problem: known.text };
    if (!known.includes(uuid)) return nothing;
    return { ...nothing, problem: answer.text || `libvirt: the state of ${uuid} cannot be read` };
  }
  const told = jobWord(parseJob(answer.sections[5] ?? ""));
  // One that arrives has no statistics, and says so in words only.
  const job = !isActive(state) ? "" : told === "unknown" ? jobWord(await readJob(virsh, uuid)) : told;
  return {
    ...nothing,
    present: true,
    state: state === "paused" && arrives(job, reason) ? "incoming" : state,
    stateReason: reason,
    job,
    isActive: isActive(state),
    autostart: isIn(1),
    persistent: isIn(2),
    saved: isIn(3),
    ended: parseJob(answer.sections[6] ?? ""),
  };
}

/** Where its job is not known it may have gone since: what libvirt gives as the reason of the pause was said with the state itself. */
function arrives(job: string, reason: string): boolean {
  return job === "migrating-in" || (job === "unknown" && (reason === "migrating" || reason === "starting up"));
}

async function listed(virsh: Virsh): Promise<string[] | Answer> {
  const answer = await virsh.run(["list", "--all", "--uuid"]);
  if (answer.state !== "ok") return answer;
  return (
    parseUuids(answer.stdout) ?? { ...answer, state: "failed", text: "virsh list printed something else than UUIDs" }
  );
}

/** As an instance step reports it. */
export function toLook({ problem, present, state, job, generation }: Seen, bytes = 0n, downtimeMs = 0): InstanceLook {
  return { problem, present, state, job, generation, bytes, downtimeMs };
}

/** In words, for people: "running", "shutoff (crashed)". */
export function inWords(seen: Seen): string {
  if (seen.problem !== "") return `libvirt cannot be asked (${seen.problem})`;
  if (!seen.present) return "not there";
  return seen.stateReason === "" || seen.stateReason === "unknown" ? seen.state : `${seen.state} (${seen.stateReason})`;
}
