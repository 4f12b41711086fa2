import type { HostInventory } from "../../domain/inventory.ts";
import type { Run } from "../../domain/run.ts";
import type { Reason } from "../../domain/words.ts";
import type { Desk } from "../desk.ts";
import { type Op, opsOfRun } from "./ops.ts";
import { isFromBefore } from "./pictures.ts";

/**
 * An instance that another turn of the run sends to this host, or has just sent and that no picture of the host shows yet: until
 * then the host is not empty, whatever its picture says.
 */
export function comingTo(run: Run, host: string, picture: HostInventory): Reason | undefined {
  const open = opsOfRun(run).find((op) => op.kind === "move" && op.to === host);
  const arrived = run.hosts
    .flatMap((h) => h.settled)
    .findLast((s) => s.outcome === "moved" && s.to === host && isFromBefore(picture, s.t) && !shows(picture, s.uuid));
  const name = open?.name ?? arrived?.name;
  if (name === undefined) return undefined;
  const text = `instance ${name} is on its way to ${host}, or has just come`;
  return { rule: "instance-coming", subject: host, text, fix: "" };
}

function shows(picture: HostInventory, uuid: string): boolean {
  return picture.inventory.instances.some((i) => i.uuid === uuid);
}

/** Who keeps instances away from the target of a migration by now. What returns is let in by the cordon of its own run. */
export function closedMeanwhile({ fleet, run, host }: Desk, { to, purpose }: Op): string | undefined {
  const isReturn = purpose === "return" && to === host.name;
  const holders = (fleet.host(to)?.cordonedBy ?? []).filter((holder) => !(isReturn && holder === run.spec.run));
  const isLeaving = !isReturn && run.hosts.some((h) => h.name === to && h.cordoned);
  if (holders.length === 0 && !isLeaving) return undefined;
  const who = holders.map((h) => (h === "operator" ? "an operator" : `run ${h}`)).join(" and ");
  return `${to} is cordoned by ${who || `run ${run.spec.run}`} by now`;
}
