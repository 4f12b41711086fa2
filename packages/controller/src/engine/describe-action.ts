import { verdicts } from "@slipway/shared";
import { type ActionRef, actionName, type ServiceAction } from "../domain/action.ts";
import type { RunEvent } from "../domain/events.ts";
import { hostOf, type Run } from "../domain/run.ts";
import type { Line } from "./describe.ts";
import { serviceName } from "./services/concern.ts";

type ActionEvent = Extract<
  RunEvent,
  { type: "action-started" | "service-action-started" | "action-ended" | "action-abandoned" }
>;

/** A migration and a stop tell that they begin; the rest shows by its failure, and by what it settles. */
export function describeAction(before: Run | undefined, event: ActionEvent): Line[] {
  const spec = "spec" in event ? event.spec : specOf(before, event);
  if (spec === undefined) return [];
  if (spec.kind === "service") return describeService(event, spec);
  const line = (text: string): Line[] => [{ subject: `instance ${spec.name}`, text }];
  switch (event.type) {
    case "service-action-started":
      return [];
    case "action-started":
      switch (event.verb) {
        case "move":
          return line(`${event.on} -> ${spec.to} (${purposeText[spec.purpose]})`);
        case "stop":
        case "save":
          return line(`${event.on}: is ${event.verb === "stop" ? "shut down" : "saved"} (by ${spec.by ?? "policy"})`);
        case "start":
        case "resume":
          return line(`${event.on}: is ${event.verb === "start" ? "started" : "resumed"}`);
        case "discard":
          return line(`${event.on}: what is left of it there is removed`);
        default:
          return [];
      }
    case "action-abandoned":
      return line(`${event.verb} on ${event.on} given up (${event.reason})`);
    case "action-ended": {
      const { verdict, reason } = event.result;
      return verdict === "ok" ? [] : line(`${event.verb} on ${event.on} ended: ${reason || verdicts[verdict]}`);
    }
  }
}

/** How it ended is told when it is settled; that it could not be waited for is told here. */
function describeService(event: ActionEvent, { service }: ServiceAction): Line[] {
  const subject = `service ${serviceName(service)}`;
  if (event.type === "action-abandoned") return [{ subject, text: `${event.verb} given up (${event.reason})` }];
  if (event.type === "action-ended" || event.verb === "service-check") return [];
  return [{ subject, text: `${event.on}: is being ${event.verb === "service-stop" ? "stopped" : "started"}` }];
}

const purposeText = {
  drain: "to empty the host",
  restore: "to restore the host",
  return: "back to the host",
  move: "as asked",
  "make-room": "to make room for the host",
} as const;

function specOf(run: Run | undefined, ref: ActionRef) {
  const host = run && hostOf(run, ref.host);
  const isIt = (a: ActionRef) => a.on === ref.on && a.attempt === ref.attempt && actionName(a) === actionName(ref);
  return (host?.actions.find(isIt) ?? host?.serviceActions?.find(isIt))?.spec;
}
