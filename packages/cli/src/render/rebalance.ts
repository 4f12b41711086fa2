import type { operatorWire } from "@slipway/shared/wire";
import { sizeText } from "./size.ts";
import { clean, type Paint, reasonText, table } from "./text.ts";

/** What a rebalance would do, and what it would bring. */
export function renderRebalance(plan: operatorWire.PlanRebalanceResponse, cluster: string, paint: Paint): string[] {
  const percent = (spread: number) => `${Math.round(100 * spread)} %`;
  const lines = [
    plan.moves.length === 0
      ? `cluster ${clean(cluster)}: nothing to move; its hosts differ by ${percent(plan.spreadBefore)} of the mean`
      : `cluster ${clean(cluster)}: ${plan.moves.length} ${plan.moves.length === 1 ? "move evens" : "moves even"} its hosts out, from ${percent(plan.spreadBefore)} to ${percent(plan.spreadAfter)} of the mean`,
  ];
  if (plan.moves.length > 0) {
    const rows = plan.moves.map((m) => [
      `  ${clean(m.name)}`,
      clean(m.from),
      clean(m.to),
      sizeText(m.memoryMib),
      String(Math.round(m.weight)),
    ]);
    lines.push("", ...table([["  INSTANCE", "FROM", "TO", "MEMORY", "WEIGHT"], ...rows], paint));
  }
  const weights = plan.hosts.map((h) => [
    `  ${clean(h.host)}`,
    String(Math.round(h.before)),
    String(Math.round(h.after)),
  ]);
  lines.push("", ...table([["  HOST", "WEIGHT", "AFTER"], ...weights], paint));
  if (plan.leftOut.length > 0) lines.push("", `left out, for they are cordoned: ${plan.leftOut.map(clean).join(", ")}`);
  if (plan.refused.length > 0)
    lines.push("", paint.yellow("stays where it is"), ...plan.refused.map((r) => `  ${reasonText(r)}`));
  return [...lines, ""];
}
