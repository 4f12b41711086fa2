import { durationText } from "@slipway/shared";
import type { StepRecord } from "../../domain/run.ts";
import { place, type Role } from "../../placement/index.ts";
import type { Desk } from "../desk.ts";
import { controllerResult, endOf, pausedReason } from "../result.ts";
import { beginMove, Lanes } from "./admit.ts";
import { advanceAll, courseOf } from "./advance.ts";
import { pictureOf, staleness } from "./pictures.ts";
import { comingBack, inFlightOf } from "./targets.ts";

/** Moves the instances of this host that an operator named, each to the target that was named, and nothing else. */
export function relocate(desk: Desk, step: StepRecord): void {
  const { run, host, fleet, now } = desk;
  const { maintenanceWaitMs, moves } = run.spec.options;
  const late = desk.expired(step.startedT + maintenanceWaitMs)
    ? `the moves did not end within ${durationText(maintenanceWaitMs)}`
    : undefined;
  const results = host.settled.filter((s) => s.purpose === "move" && s.t >= step.startedT);
  const failed = results.filter((s) => s.outcome !== "moved");
  const given = courseOf(desk, late);
  const cut = given.noMore ?? (failed.length > 0 && !run.spec.options.forced ? "an earlier move failed" : undefined);
  const ops = advanceAll(desk, { ...given, noMore: cut });
  if (desk.hasRecords) return;
  const settled = new Set(results.map((s) => s.uuid));
  const open = new Set(ops.map((op) => op.uuid));
  // One that is where it was to go may have come in the turn of another host.
  const todo = moves.filter(
    ({ uuid, to }) => to !== host.name && !settled.has(uuid) && !open.has(uuid) && isHere(desk, uuid),
  );
  if (cut !== undefined || todo.length === 0) {
    if (ops.length > 0) return;
    const texts = failed.map((s) => `instance ${s.name} was not moved to ${s.to}: ${s.reason}`);
    if (given.noMore !== undefined && todo.length > 0) texts.push(given.noMore);
    const took = now - step.startedT;
    desk.record(
      endOf(step, controllerResult(texts.length > 0 ? "failed" : "ok", texts.join("; "), step.startedAt, took)),
    );
    return;
  }
  if (run.paused) {
    desk.wait(pausedReason(run));
    return;
  }
  const hosts = fleet.inventoriesOf(host.cluster);
  const lanes = new Lanes(desk);
  for (const { uuid, to } of todo) {
    const picture = pictureOf(fleet, host.cluster, host.name);
    const instance = picture?.inventory.instances.find((i) => i.uuid === uuid);
    const stale = staleness(host.name, picture, now) ?? staleness(to, pictureOf(fleet, host.cluster, to), now);
    if (stale || !instance) {
      if (stale) desk.wait(stale);
      continue;
    }
    if (!lanes.mayAsk(host.name, to)) continue;
    const question = { hosts, roles: onlyTo(desk, to), movers: [{ uuid, from: host.name }] };
    const inFlight = inFlightOf(run, fleet, host.cluster);
    const { blockers, moves: found } = place({
      ...question,
      inFlight,
      comingBack: comingBack(run, fleet, hosts),
      pool: fleet.pool,
    });
    const isFound = found.some((m) => m.uuid === uuid);
    if (!isFound) {
      const { text, fix } = blockers[0]?.reason ?? { text: `it does not run on ${host.name}`, fix: "" };
      const reason = fix ? `${text}; ${fix}` : text;
      const event = {
        uuid,
        name: instance.name,
        purpose: "move",
        outcome: "stayed",
        from: host.name,
        to,
        reason,
      } as const;
      const { generation } = instance;
      desk.record({ type: "instance-settled", host: host.name, ...event, generation, durationMs: 0 });
      return;
    }
    lanes.ask(host.name, to);
    beginMove(desk, instance, "move", host.name, to);
  }
}

/** Is it this host's to move? Hosts that have never told of themselves have nothing. */
function isHere(desk: Desk, uuid: string): boolean {
  const picture = pictureOf(desk.fleet, desk.host.cluster, desk.host.name);
  return picture?.inventory.instances.some((i) => i.uuid === uuid) === true;
}

/** The target is the one that was named: no other will do. */
function onlyTo(desk: Desk, to: string): Map<string, Role> {
  return new Map(
    desk.fleet.inventoriesOf(desk.host.cluster).map(({ host }): [string, Role] => {
      const fact = desk.fleet.host(host);
      const isCordoned = (fact?.cordonedBy.length ?? 0) > 0;
      if (host === to && !isCordoned) return [host, { is: "target" }];
      const text = isCordoned ? `${host} is cordoned` : `${host} is not where it was asked to go`;
      return [
        host,
        { is: "closed", because: { rule: isCordoned ? "cordoned" : "not-asked", subject: host, text, fix: "" } },
      ];
    }),
  );
}
