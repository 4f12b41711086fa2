import type { Instance } from "@slipway/shared";
import type { HostInventory } from "../domain/inventory.ts";
import type { PoolConfig } from "../domain/pool.ts";
import type { Reason, RunOptions } from "../domain/words.ts";
import { failsOver } from "./failover.ts";
import { type Guest, type Site, siteOf } from "./room.ts";
import { settle } from "./settle.ts";
import type { Blocker, Mover } from "./types.ts";

export interface Stop {
  readonly uuid: string;
  readonly name: string;
  readonly how: "shutdown-restart" | "managed-save";
  /** Why it is stopped and not moved: its policy, or an operator's consent and what kept it from moving. */
  readonly because: Reason;
}

/** An instance that nothing is done with before its host goes out. */
export interface Left {
  readonly uuid: string;
  readonly name: string;
  /** It runs on, or stops with its host and is started elsewhere by its platform. */
  readonly how: "leave" | "failover";
  /** The host where its platform is likely to start it; empty: it is not foretold here, or there is none. */
  readonly to: string;
}

/** What is to be done with the instances of a host that is to be emptied. */
export interface Duties {
  readonly movers: readonly Mover[];
  /** Of the movers those that may be stopped where they cannot move. */
  readonly mayStop: ReadonlySet<string>;
  readonly stops: readonly Stop[];
  /** They stay although they run, by their policy. */
  readonly leaves: readonly Left[];
  readonly blockers: readonly Blocker[];
  readonly warnings: readonly Reason[];
}

type DutyOptions = Pick<RunOptions, "consentStop" | "op" | "reboot">;

/** Sorts the instances of a host by what their policies and the operator's consents say. What is off stays where it is. */
export function duties(host: HostInventory, pool: PoolConfig, options: DutyOptions): Duties {
  return dutiesOn(siteOf(host, pool, new Set()), options);
}

/** The same on a host as it is imagined. */
export function dutiesOn(site: Site, options: DutyOptions): Duties {
  // A reboot that is certain leaves nothing running.
  const mustBeEmpty = options.op === "reboot" || options.reboot === "always";
  const movers: Mover[] = [];
  const mayStop = new Set<string>();
  const stops: Stop[] = [];
  const leaves: Left[] = [];
  const blockers: Blocker[] = [];
  const warnings: Reason[] = [];
  const block = (guest: Guest, reason: Reason) =>
    blockers.push({
      host: site.name,
      uuid: guest.instance.uuid,
      name: guest.instance.name,
      reason,
      targets: [],
      missingMib: 0,
    });
  for (const guest of site.guests.values()) {
    const { instance, settled } = guest;
    const { uuid, name } = instance;
    if (instance.state === "shutoff") continue;
    const consented = options.consentStop.includes(name);
    const policy = settled.policy;
    if (settled.problem && !consented) block(guest, settled.problem);
    else if (policy === "shutdown-restart" || policy === "managed-save") {
      const problem = stopProblem(instance, policy, site.name);
      if (problem) block(guest, problem);
      else
        stops.push({
          uuid,
          name,
          how: policy,
          because: { rule: "policy", subject: name, text: `${name}: its policy is ${policy}`, fix: "" },
        });
    } else if (policy === "failover" && failsOver(site.host.inventory.platform)) {
      // Whether it finds a place shows only with the other hosts: see failOver.
      leaves.push({ uuid, name, how: "failover", to: "" });
    } else if (policy === "failover" && !consented) {
      const platform = site.host.inventory.platform || "its platform";
      block(guest, {
        rule: "no-failover",
        subject: name,
        text: `${name}: its policy is failover, and ${platform} on ${site.name} starts nothing elsewhere by itself`,
        fix: "give it another policy",
      });
    } else if (policy === "leave" && !consented) {
      if (mustBeEmpty)
        block(guest, {
          rule: "left-running",
          subject: name,
          text: `${name} is left running on ${site.name} by its policy, and ${site.name} is to be rebooted`,
          fix: `give it another policy, consent to stop it: --consent-stop ${name}, or leave ${site.name} out`,
        });
      else {
        leaves.push({ uuid, name, how: "leave", to: "" });
        if (options.op === "hooks")
          warnings.push({
            rule: "left-running",
            subject: name,
            text: `${name} stays on ${site.name} by its policy and runs on during the maintenance`,
            fix: "",
          });
      }
    } else {
      const problem = consented ? stopProblem(instance, "shutdown-restart", site.name) : undefined;
      if (consented && !problem) mayStop.add(uuid);
      if (policy === "leave" && consented) {
        if (problem) block(guest, problem);
        else
          stops.push({
            uuid,
            name,
            how: "shutdown-restart",
            because: { rule: "consent", subject: name, text: `${name}: an operator consented to stop it`, fix: "" },
          });
      } else movers.push({ uuid, from: site.name });
    }
  }
  return { movers, mayStop, stops, leaves, blockers, warnings };
}

/** Why it cannot be stopped in a way that lets it come back. */
export function stopProblem(instance: Instance, how: Stop["how"], host: string): Reason | undefined {
  const reason = (rule: string, text: string, fix: string): Reason => ({
    rule,
    subject: instance.name,
    text: `${instance.name} on ${host} ${text}`,
    fix,
  });
  if (!instance.persistent)
    return reason("transient", "is transient: it would be gone once it stops", "define it (virsh define), or move it");
  const answers = instance.state === "running" || (instance.state === "paused" && how === "managed-save");
  if (!answers)
    return reason(
      "instance-state",
      `is ${instance.state || "in an unknown state"} and cannot be ${how === "managed-save" ? "saved" : "shut down by its own system"}`,
      instance.state === "paused" ? `let it run on (virsh resume ${instance.name})` : `look at it on ${host}`,
    );
  if (how === "managed-save" && instance.devices.some((d) => d.kind !== "tpm" && d.kind !== "block"))
    return reason(
      "passthrough-device",
      "holds devices of the host and cannot be saved",
      "give it the policy shutdown-restart",
    );
  return undefined;
}

/** Is this an instance that may be moved for the sake of order? */
export function movesFreely(instance: Instance, pool: PoolConfig): boolean {
  const { policy, problem } = settle(instance, pool);
  return instance.state === "running" && instance.job === "" && !problem && policy.startsWith("migrate");
}
