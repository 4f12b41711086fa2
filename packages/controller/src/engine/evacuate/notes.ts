import type { HostInventory } from "../../domain/inventory.ts";
import type { StepRecord } from "../../domain/run.ts";
import type { Desk } from "../desk.ts";
import { isAlive } from "./pictures.ts";

/** Tells something of an instance once. */
export function note(desk: Desk, rule: string, uuid: string, text: string, fix = ""): void {
  const { name, notes } = desk.host;
  if (notes.some((n) => n.rule === rule && n.subject === uuid && n.text === text)) return;
  desk.record({ type: "host-noted", host: name, note: { rule, subject: uuid, text, fix } });
}

/** What was stopped and does not run again is told by name, with the way out. */
export function notStarted(desk: Desk, uuid: string, name: string, why: string): void {
  const host = desk.host.name;
  note(
    desk,
    "not-started",
    uuid,
    `instance ${name} was stopped for the turn of ${host} and does not run again: ${why}`,
    `start it by hand, or slipway restore ${host}`,
  );
}

/** The end of a host names every instance that still stands in the ledger as stopped for its turn. */
export function noteStopped(desk: Desk): void {
  const { host, run } = desk;
  for (const { host: name, kind, subject, name: instance, closedAt } of run.ledger) {
    if (name !== host.name || kind !== "instance" || closedAt !== undefined) continue;
    if (!host.notes.some((n) => n.rule === "not-started" && n.subject === subject))
      notStarted(desk, subject, instance, `the turn of ${name} ended before that was done`);
  }
}

/** Instances that the drain had found and that are gone without its doing. */
export function noteLeavers(desk: Desk, picture: HostInventory, step: StepRecord): void {
  const { host, fleet } = desk;
  for (const { uuid, name, how } of host.evacuees) {
    const settled = host.settled.some((s) => s.uuid === uuid && s.outcome !== "stayed" && s.t >= step.startedT);
    if (how === "stay" || settled) continue;
    const here = picture.inventory.instances.find((i) => i.uuid === uuid);
    if (here && isAlive(here)) continue;
    const elsewhere = fleet
      .inventoriesOf(host.cluster)
      .find((p) => p.host !== host.name && p.inventory.instances.some((i) => i.uuid === uuid && isAlive(i)));
    if (elsewhere)
      note(desk, "left", uuid, `instance ${name} has left ${host.name} by other hands and is on ${elsewhere.host}`);
    else if (here) note(desk, "shut-down", uuid, `instance ${name} stopped by itself while ${host.name} was emptied`);
    else note(desk, "gone", uuid, `instance ${name} is not on ${host.name} any more, by other hands`);
  }
}
