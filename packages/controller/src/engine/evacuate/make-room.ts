import type { Move } from "../../placement/index.ts";
import type { Desk } from "../desk.ts";
import { beginMove, type Lanes } from "./admit.ts";
import { opsOfRun } from "./ops.ts";
import { isFromBefore, pictureOf, staleness } from "./pictures.ts";

/**
 * Begins moves between hosts that stay in, so that there is room where they come from: in their order, each when what has to leave its
 * target has left. Returns the hosts that still have to be relieved, to which nothing goes before.
 */
export function makeRoom(desk: Desk, moves: readonly Move[], lanes: Lanes): ReadonlySet<string> {
  const { run, host, fleet, now } = desk;
  const filled = new Set<string>();
  if (moves.length === 0) return filled;
  const open = new Set(opsOfRun(run).map((op) => op.uuid));
  for (const { uuid, name, from, to } of moves) {
    const isBlocked = filled.has(to);
    filled.add(from);
    if (open.has(uuid) || isBlocked) continue;
    const picture = pictureOf(fleet, host.cluster, from);
    const instance = picture?.inventory.instances.find((i) => i.uuid === uuid);
    const arrived = run.hosts.some((h) =>
      h.settled.some(
        (s) => s.uuid === uuid && s.outcome === "moved" && s.to === to && picture && isFromBefore(picture, s.t),
      ),
    );
    const stale = staleness(from, picture, now);
    if (stale || arrived || instance === undefined) {
      const text = `instance ${name} has left ${from} for ${to}, and ${from} still shows it`;
      desk.wait(stale ?? { rule: "not-shown-yet", subject: from, text, fix: "" });
      desk.expired(now + 1_000);
      continue;
    }
    if (!lanes.mayAsk(from, to)) continue;
    lanes.ask(from, to);
    beginMove(desk, instance, "make-room", from, to);
  }
  return filled;
}
