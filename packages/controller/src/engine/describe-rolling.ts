import type { RunEvent } from "../domain/events.ts";
import type { ScheduledMove } from "../domain/schedule.ts";
import type { Line } from "./describe.ts";

/** So many of a kind are named in a line; the rest is counted. */
const MOST_NAMED = 8;

/** How the schedule of a run became another one, and an operator's word for it. */
export function describeRolling(
  subject: string,
  event: Extract<RunEvent, { type: "run-replanned" | "run-approved" }>,
): Line[] {
  if (event.type === "run-approved") {
    const { who, wave, consents, reason } = event;
    const what = [
      ...(wave > 1 ? [`goes on with wave ${wave}`] : []),
      ...(consents.length > 0 ? [`${listed(consents)} may be stopped for a host's turn`] : []),
    ];
    return [{ subject, text: `approved by ${who}: ${what.join(", ")}${reason ? `; ${reason}` : ""}` }];
  }
  const { movesAdded, movesDropped, hostsShifted, consentsAdded, consentsDropped } = event.difference;
  const changes = [
    movesAdded.length > 0 ? `moves added: ${listed(movesAdded.map(moveText))}` : "",
    movesDropped.length > 0 ? `moves dropped: ${listed(movesDropped.map(moveText))}` : "",
    hostsShifted.length > 0 ? `later in the order: ${listed(hostsShifted)}` : "",
    consentsAdded.length > 0 ? `to be stopped, if an operator consents: ${listed(consentsAdded)}` : "",
    consentsDropped.length > 0 ? `need not be stopped any more: ${listed(consentsDropped)}` : "",
  ].filter((text) => text !== "");
  const turns = event.schedule.turns.map((t) => t.host);
  return [
    { subject, text: `planned anew (${event.reason}): ${changes.join("; ") || "the same moves in the same order"}` },
    ...(hostsShifted.length > 0 ? [{ subject, text: `hosts to come: ${listed(turns)}` }] : []),
  ];
}

const moveText = ({ name, from, to }: ScheduledMove) => `${name} ${from} -> ${to}`;

function listed(names: readonly string[]): string {
  const rest = names.length - MOST_NAMED;
  return rest > 1 ? `${names.slice(0, MOST_NAMED).join(", ")} and ${rest} more` : names.join(", ");
}
