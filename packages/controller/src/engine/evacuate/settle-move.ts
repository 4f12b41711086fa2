import type { Look } from "../../domain/action.ts";

/** What one side of a migration says of the instance; undefined when its agent cannot be asked. */
export type Side = Look | undefined;

/** What became of a migration whose own end does not say it. */
export type MoveVerdict =
  /** It runs on the target. `discard`: a stopped definition of it is left on that side. */
  | { readonly kind: "moved"; readonly discard?: "source" }
  /** It runs on the source. */
  | { readonly kind: "stayed"; readonly discard?: "target" }
  /** It is defined on that side and does not run anywhere: it stopped by itself, or crashed. */
  | { readonly kind: "off"; readonly at: "source" | "target"; readonly crashed: boolean }
  | { readonly kind: "still-moving" }
  /** Neither side has it. */
  | { readonly kind: "lost" }
  /** Both sides run it, or hold it paused: nothing may be touched. */
  | { readonly kind: "doubled" }
  /** Asked again later; `who` does not say. */
  | { readonly kind: "unknown"; readonly who: readonly ("source" | "target")[] };

type Fact = "alive" | "busy" | "off" | "crashed" | "absent" | "unknown";

function factOf(side: Side): Fact {
  if (side === undefined || side.problem !== "") return "unknown";
  if (!side.present) return "absent";
  if (side.job !== "" || side.state === "incoming") return "busy";
  switch (side.state) {
    case "running":
    case "paused":
    case "suspended":
      return "alive";
    case "shutoff":
      return "off";
    case "crashed":
      return "crashed";
    default:
      return "unknown";
  }
}

/**
 * Where an instance is after a migration with no clear end, out of what both sides say. A source that runs it with nothing under
 * way has it for good: a migration hands over only after the source has let go. The reverse does not hold: that the target
 * runs it says nothing of the source, so a source that cannot be asked leaves the matter open.
 */
export function settleMove(source: Side, target: Side): MoveVerdict {
  const [from, to] = [factOf(source), factOf(target)];
  if (from === "busy" || to === "busy") return { kind: "still-moving" };
  switch (from) {
    case "unknown":
      return { kind: "unknown", who: to === "unknown" ? ["source", "target"] : ["source"] };
    case "alive":
      if (to === "alive") return { kind: "doubled" };
      return to === "off" || to === "crashed" ? { kind: "stayed", discard: "target" } : { kind: "stayed" };
    case "off":
    case "crashed":
      if (to === "alive") return { kind: "moved", discard: "source" };
      if (to === "unknown") return { kind: "unknown", who: ["target"] };
      return { kind: "off", at: "source", crashed: from === "crashed" };
    case "absent":
      if (to === "alive") return { kind: "moved" };
      if (to === "unknown") return { kind: "unknown", who: ["target"] };
      return to === "absent" ? { kind: "lost" } : { kind: "off", at: "target", crashed: to === "crashed" };
  }
}
