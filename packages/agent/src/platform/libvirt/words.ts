// What `virsh domstats --raw` and `virsh domjobinfo --rawstats` print: numbers of libvirt's enumerations, which do not change
// with version or language.

export interface DomainState {
  /** As Instance.state has it. */
  readonly state: "running" | "paused" | "shutoff" | "crashed" | "suspended" | "unknown";
  readonly reason: string;
}

const unknown: DomainState = { state: "unknown", reason: "" };

/** virDomainState, and for each the names of its reasons in order (libvirt-domain.h). */
const states: Readonly<Record<number, readonly [DomainState["state"], readonly string[]]>> = {
  1: [
    "running",
    [
      "unknown",
      "booted",
      "migrated",
      "restored",
      "from snapshot",
      "unpaused",
      "migration canceled",
      "save canceled",
      "wakeup",
      "crashed",
      "post-copy",
      "post-copy failed",
    ],
  ],
  // Blocked is a running guest that waits.
  2: ["running", ["unknown"]],
  3: [
    "paused",
    [
      "unknown",
      "user",
      "migrating",
      "saving",
      "dumping",
      "I/O error",
      "watchdog",
      "from snapshot",
      "shutting down",
      "creating snapshot",
      "crashed",
      "starting up",
      "post-copy",
      "post-copy failed",
      "api error",
    ],
  ],
  // Still a process that holds its disks.
  4: ["running", ["shutting down", "shutting down"]],
  5: [
    "shutoff",
    ["unknown", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from snapshot", "daemon"],
  ],
  6: ["crashed", ["unknown", "panicked"]],
  7: ["suspended", ["unknown"]],
};

/** The state in a `domstats --state --raw` of one domain. */
export function parseState(text: string): DomainState {
  const state = /^\s*state\.state=(\d{1,3})\s*$/m.exec(text)?.[1];
  const known = state === undefined ? undefined : states[Number(state)];
  if (known === undefined) return unknown;
  const reason = /^\s*state\.reason=(\d{1,3})\s*$/m.exec(text)?.[1];
  return { state: known[0], reason: known[1][Number(reason ?? -1)] ?? "" };
}

export interface JobInfo {
  /** none: nothing is under way. ended: the last one, as `--completed` tells it. */
  readonly type: "none" | "running" | "ended" | "failed" | "unknown";
  readonly operation:
    | ""
    | "starting"
    | "saving"
    | "restoring"
    | "migrating-in"
    | "migrating-out"
    | "snapshot"
    | "dumping";
  /** Bytes sent, memory and disks together; undefined where it does not say so. */
  readonly processed?: number;
  readonly total?: number;
  readonly remaining?: number;
  readonly elapsedMs?: number;
  readonly downtimeMs?: number;
  /** Passes over the memory. */
  readonly iteration?: number;
}

/** virDomainJobType. */
const types: readonly JobInfo["type"][] = ["none", "running", "running", "ended", "failed", "failed"];
/** virDomainJobOperation. */
const operations: readonly JobInfo["operation"][] = [
  "",
  "starting",
  "saving",
  "restoring",
  "migrating-in",
  "migrating-out",
  "snapshot",
  "snapshot",
  "dumping",
  "",
  "snapshot",
];

/** Reads `domjobinfo --rawstats`. */
export function parseJob(text: string): JobInfo {
  const fields = new Map<string, number>();
  for (const line of text.split("\n")) {
    const match = /^\s*([A-Za-z_ ]+?)\s*:\s*(\d{1,18})\s*$/.exec(line);
    if (match?.[1] !== undefined) fields.set(match[1], Number(match[2]));
  }
  const type = types[fields.get("Job type") ?? -1] ?? "unknown";
  const field = (to: string, from: string) => {
    const value = fields.get(from);
    return value === undefined ? {} : { [to]: value };
  };
  return {
    type,
    operation: operations[fields.get("operation") ?? 0] ?? "",
    ...field("processed", "data_processed"),
    ...field("total", "data_total"),
    ...field("remaining", "data_remaining"),
    ...field("elapsedMs", "time_elapsed"),
    ...field("downtimeMs", "downtime"),
    ...field("iteration", "memory_iteration"),
  };
}

/** As Instance.job has it: empty when nothing is under way, "unknown" when that cannot be told. */
export function jobWord(job: JobInfo): string {
  if (job.type === "unknown") return "unknown";
  if (job.type !== "running") return "";
  return job.operation || "busy";
}

/** UUIDs, one a line, as `list --uuid` and `pool-list --uuid` print them; undefined when there is anything else. */
export function parseUuids(text: string): string[] | undefined {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  return lines.every((line) => /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(line)) ? lines : undefined;
}

/** Names, one a line, as `net-list --name` prints them. */
export function parseNames(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** "libvirt 9.0.0, QEMU 7.2.22" out of `virsh version`; empty when it says something else. */
export function parseVersion(text: string): string {
  const library = /^Using library: libvirt (\d[\w.]*)$/m.exec(text)?.[1];
  const emulator = /^Running hypervisor: (\w+) (\d[\w.]*)$/m.exec(text);
  if (library === undefined) return "";
  return emulator === null ? `libvirt ${library}` : `libvirt ${library}, ${emulator[1]} ${emulator[2]}`;
}
