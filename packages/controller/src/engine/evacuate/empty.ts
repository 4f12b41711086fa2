import type { Reason } from "../../domain/words.ts";
import type { Desk } from "../desk.ts";
import { dutiesOf, isBusy } from "./duties.ts";
import { hasNoPlatform, pictureOf, staleness } from "./pictures.ts";
import { arrange } from "./targets.ts";

/** Code of a host that was not taken out because it cannot be emptied. */
export const CANNOT_EMPTY = "cannot-empty";

export type TurnRehearsal =
  | { readonly kind: "feasible" }
  | { readonly kind: "unknown"; readonly reason: Reason }
  | { readonly kind: "blocked"; readonly text: string };

/** Can the host be emptied, as things are now? Asked before the first thing that its turn changes. */
export function rehearseTurn(desk: Desk): TurnRehearsal {
  const { run, host, fleet, now } = desk;
  const picture = pictureOf(fleet, host.cluster, host.name);
  if (picture && hasNoPlatform(picture)) return { kind: "feasible" };
  const stale = staleness(host.name, picture, now);
  if (stale || picture === undefined) return { kind: "unknown", reason: stale as Reason };
  const duties = dutiesOf(picture, fleet.pool, run.spec.options).filter((d) => !isBusy(d));
  const problems = duties.flatMap((d) => d.problem ?? []);
  if (problems.length > 0) return blocked(problems);
  if (!duties.some((d) => d.how === "move")) return { kind: "feasible" };
  const { placement, passing, until } = arrange(run, host, fleet, now);
  const blockers = placement.blockers.filter((b) => b.host === host.name || b.host === "");
  if (blockers.length === 0) return { kind: "feasible" };
  if (passing && (until === undefined || !desk.expired(until))) return { kind: "unknown", reason: passing };
  return blocked(blockers.map((b) => b.reason));
}

function blocked(reasons: readonly Reason[]): TurnRehearsal {
  return { kind: "blocked", text: reasons.map((r) => (r.fix ? `${r.text}; ${r.fix}` : r.text)).join("; ") };
}

/**
 * Does something run on the host that should have left it? Asked right before what takes the host down: an instance may have
 * been started there since it was drained. Records what it waits for.
 */
export function stillFull(desk: Desk): boolean | "unknown" {
  const { run, host, fleet, now } = desk;
  const picture = pictureOf(fleet, host.cluster, host.name);
  if (picture && hasNoPlatform(picture)) return false;
  const stale = staleness(host.name, picture, now);
  if (stale || picture === undefined) {
    desk.wait(stale as Reason);
    desk.unknown(stale as Reason);
    return "unknown";
  }
  return dutiesOf(picture, fleet.pool, run.spec.options).some((d) => d.how !== "stay" || d.problem !== undefined);
}
