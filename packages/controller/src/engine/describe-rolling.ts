import type { RunEvent } from "../domain/events.ts";
import type { ScheduledMove } from "../domain/schedule.ts";
import type { Line } from "./describe.ts";
import { listed } from "./result.ts";

/** How the schedule of a run became another one, and an operator's word for it. */
export function describeRolling(
  id: string,
  event: Extract<RunEvent, { type: "run-replanned" | "run-approved" }>,
): Line[] {
  const subject = `run ${id}`;
  if (event.type === "run-approved") {
    const { who, wave, consents, reason } = event;
    const what = [
      ...(wave > 1 ? [`goes on with wave ${wave}`] : []),
      ...(consents.length > 0 ? [`${listed(consents)} may be stopped for a host's turn`] : []),
    ];
    return [{ subject, text: `approved by ${who}: ${what.join(", ")}${reason ? `; ${reason}` : ""}` }];
  }
  const { movesAdded, movesDropped, hostsShifted, consentsAdded, consentsDropped } = event.difference;
  const isElsewhere = (a: ScheduledMove, b: ScheduledMove) =>
    a.uuid === b.uuid && a.from === b.from && a.kind === b.kind;
  const turned = movesAdded.flatMap((m) => {
    const was = movesDropped.find((old) => isElsewhere(m, old));
    return was ? [`${moveText(m)} (not ${was.to})`] : [];
  });
  const [added, dropped] = [
    movesAdded.filter((m) => !movesDropped.some((old) => isElsewhere(m, old))),
    movesDropped.filter((old) => !movesAdded.some((m) => isElsewhere(m, old))),
  ];
  const changes = [
    added.length > 0 ? `also moves ${listed(added.map(moveText))}` : "",
    dropped.length > 0 ? `does not move ${listed(dropped.map(moveText))}` : "",
    turned.length > 0 ? `other targets: ${listed(turned)}` : "",
    hostsShifted.length > 0 ? `later than planned: ${listed(hostsShifted)}` : "",
    consentsAdded.length > 0
      ? `needs an operator's consent to stop ${listed(consentsAdded)}: slipway run approve ${id}`
      : "",
    consentsDropped.length > 0 ? `need not stop ${listed(consentsDropped)} any more` : "",
  ].filter((text) => text !== "");
  const turns = event.schedule.turns.map((t) => t.host);
  return [
    { subject, text: `planned anew (${event.reason}): ${changes.join("; ") || "the same moves in the same order"}` },
    ...(hostsShifted.length > 0 ? [{ subject, text: `hosts to come: ${listed(turns)}` }] : []),
  ];
}

const moveText = ({ name, from, to }: ScheduledMove) => `${name} ${from} -> ${to}`;
