// What `slipway-agent doctor` makes of what its probes found. Pure: every rule can be tried without a broken host.
import { durationText, type Stage, stages } from "@slipway/shared";
import type { Choice } from "../../executors/choose.ts";
import type { HookInventory } from "../../steps/types.ts";

/** `note` is worth knowing and nothing that keeps the agent from its work. */
export interface Finding {
  readonly state: "ok" | "note" | "bad";
  readonly check: string;
  /** What was found; if bad, with the way out. */
  readonly text: string;
}

const MIB = 1024 ** 2;
/** Below this a step's record and the journal's next change may not fit. */
const MIN_FREE_BYTES = 64 * MIB;
const LOW_FREE_BYTES = 512 * MIB;
const EXPIRES_SOON_MS = 14 * 86_400_000;
/** First version of systemd with Type=exec, by which a step's unit is started. */
const MIN_SYSTEMD = 240;
const OTHERS = 0o077;

const ok = (check: string, text: string): Finding => ({ state: "ok", check, text });
const note = (check: string, text: string): Finding => ({ state: "note", check, text });
const bad = (check: string, text: string): Finding => ({ state: "bad", check, text });

export function checkHooks(inventory: HookInventory): Finding[] {
  if (inventory.problem !== "") return [bad("hooks", inventory.problem)];
  return stages.map((stage: Stage) => {
    const hook = inventory.hooks.find((one) => one.stage === stage);
    if (hook !== undefined)
      return hook.problem === "" ? ok(`hook ${stage}`, hook.file) : bad(`hook ${stage}`, hook.problem);
    return stage === "Maintenance"
      ? note(`hook ${stage}`, `none in ${inventory.dir}: this host is skipped by a run of hooks`)
      : ok(`hook ${stage}`, "none: the stage is passed over");
  });
}

export interface PathFacts {
  readonly path: string;
  /** Error code such as ENOENT; undefined when it is there. */
  readonly missing?: string;
  readonly uid: number;
  readonly mode: number;
}

/** Directories and files that only the agent's user may see into. */
export function checkPrivate(check: string, facts: PathFacts, uid: number): Finding {
  const { path } = facts;
  if (facts.missing === "ENOENT") return bad(check, `${path}: does not exist; start the agent once, it makes it`);
  if (facts.missing !== undefined) return bad(check, `${path}: cannot be read (${facts.missing}); run this as root`);
  if (facts.uid !== uid) return bad(check, `${path}: belongs to uid ${facts.uid}; run chown ${uid} ${path}`);
  if ((facts.mode & OTHERS) !== 0) {
    const mode = (facts.mode & 0o7777).toString(8).padStart(4, "0");
    return bad(check, `${path}: open to group or others (mode ${mode}); run chmod go= ${path}`);
  }
  return ok(check, path);
}

/** f_type of file systems on which link(2) or fsync(2) may not hold (statfs(2)). */
const networkFileSystems: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x65735546, "FUSE"],
  [0x01021997, "9p"],
]);

export function checkDisk(path: string, freeBytes: number, type: number): Finding {
  const network = networkFileSystems.get(type);
  if (network !== undefined) return bad("disk", `${path}: is on ${network}; put slipway.state.dir on a local disk`);
  const free = `${path}: ${Math.floor(freeBytes / MIB)} MiB free`;
  if (freeBytes < MIN_FREE_BYTES) return bad("disk", `${free}; make room, no step is taken without it`);
  return freeBytes < LOW_FREE_BYTES ? note("disk", `${free}, which is little`) : ok("disk", free);
}

export function checkCertificate(path: string, validTo: number, nowMs: number): Finding {
  const left = validTo - nowMs;
  const text = `${path}: good for ${left > 2 * 86_400_000 ? `${Math.floor(left / 86_400_000)} days` : durationText(left)}`;
  return left < EXPIRES_SOON_MS
    ? note("certificate", `${text}; enrol this host anew before that`)
    : ok("certificate", text);
}

/** `timedatectl show --property=NTP --property=NTPSynchronized`; undefined when it could not be asked. */
export function checkClock(shown: ReadonlyMap<string, string> | undefined, nowMs: number): Finding {
  const now = new Date(nowMs).toISOString();
  const synchronized = shown?.get("NTPSynchronized");
  if (synchronized === "yes") return ok("clock", `${now}, synchronised`);
  if (synchronized === undefined) return note("clock", `${now}; whether it is synchronised could not be asked`);
  const way =
    shown?.get("NTP") === "yes" ? "see timedatectl timesync-status" : "run timedatectl set-ntp true, or set up chrony";
  return note("clock", `${now}, not synchronised: certificates and reports depend on it; ${way}`);
}

export interface ExecutorFacts {
  readonly choice: Choice;
  readonly isSystemdThere: boolean;
  /** First word of systemd's own version, such as "252.39-1"; empty when systemd does not answer. */
  readonly systemdVersion: string;
  readonly uid: number;
  /** A path that cannot be named in a unit; undefined when all can. */
  readonly awkwardPath: string | undefined;
}

export function checkExecutor(facts: ExecutorFacts): Finding {
  const { choice, systemdVersion, uid, awkwardPath } = facts;
  const check = "executor";
  const direct = "or set rolling.maintenance.service.executor.disabled=true";
  if (choice.executor === "direct") {
    const text = `direct (${choice.reason})`;
    return facts.isSystemdThere && choice.reason !== "this host is simulated"
      ? note(check, `${text}: hooks have no units of their own, and no bounds on memory`)
      : ok(check, text);
  }
  if (systemdVersion === "")
    return bad(check, `systemd: does not answer; see systemctl status, run this as root, ${direct}`);
  const version = Number.parseInt(systemdVersion, 10);
  if (version < MIN_SYSTEMD)
    return bad(check, `systemd ${version}: too old, ${MIN_SYSTEMD} is the oldest that will do; upgrade it, ${direct}`);
  if (uid !== 0) return bad(check, `uid ${uid} may not make systemd units; run the agent as root, ${direct}`);
  if (awkwardPath !== undefined)
    return bad(check, `${awkwardPath}: cannot be named in a systemd unit; choose a plain path, ${direct}`);
  return ok(check, `systemd ${version}`);
}

export function checkJournal(
  path: string,
  opened: "absent" | "open" | "in-use" | { readonly problem: string },
): Finding {
  if (opened === "absent") return note("journal", `${path}: not there yet; the agent's first start makes it`);
  if (opened === "open") return ok("journal", `${path}: opens; no agent runs on it`);
  if (opened === "in-use") return ok("journal", `${path}: in use by the agent that runs`);
  return bad("journal", opened.problem);
}

export function checkBootId(text: string): Finding {
  return /^[0-9a-f-]{36}$/.test(text)
    ? ok("boot id", text)
    : bad("boot id", "/proc/sys/kernel/random/boot_id: cannot be read; a reboot could not be proved; mount /proc");
}

/** How a controller's port answered. */
export type Reach =
  | { readonly state: "ok"; readonly protocol: string }
  | { readonly state: "timeout"; readonly stage: "TCP" | "TLS"; readonly deadlineMs: number }
  | { readonly state: "error"; readonly code: string; readonly text: string };

const causes: ReadonlyMap<string, string> = new Map([
  ["ENOTFOUND", "the name is not known; correct it, or this host's resolver"],
  ["EAI_AGAIN", "the name cannot be looked up; correct this host's resolver"],
  ["ECONNREFUSED", "nothing listens there; start the controller, or correct the address"],
  ["EHOSTUNREACH", "no way there; look at routes and cables"],
  ["ENETUNREACH", "no way there; look at this host's network"],
  ["ECONNRESET", "hung up; look into the controller's log"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "shows a certificate that is no controller's; correct the address"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "belongs to another authority; correct the address, or enrol this host anew"],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "belongs to another authority; correct the address, or enrol this host anew"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "belongs to another authority; correct the address, or enrol this host anew"],
  ["CERT_HAS_EXPIRED", "its certificate has run out; renew it, or set this host's clock"],
  ["CERT_NOT_YET_VALID", "its certificate is not good yet; set this host's clock"],
]);

export function checkReach(check: string, address: string, reach: Reach): Finding {
  if (reach.state === "ok") return ok(check, `${address}: ${reach.protocol}`);
  if (reach.state === "timeout")
    return bad(
      check,
      reach.stage === "TCP"
        ? `${address}: no answer in ${reach.deadlineMs} ms; let this host through the firewalls, or correct the address`
        : `${address}: connects, but no TLS in ${reach.deadlineMs} ms; look whether the controller hangs`,
    );
  const cause = causes.get(reach.code) ?? `${reach.text}; look into the controller's log`;
  return bad(check, `${address}: ${cause} (${reach.code})`);
}

/** One line each, what is bad last, where it is seen. */
export function render(findings: readonly Finding[]): string {
  const order = { ok: 0, note: 1, bad: 2 };
  const width = Math.max(...findings.map((one) => one.check.length));
  return [...findings]
    .sort((a, b) => order[a.state] - order[b.state])
    .map((one) => `${one.state.padEnd(5)} ${one.check.padEnd(width)}  ${one.text.replace(/\s+/g, " ")}\n`)
    .join("");
}
