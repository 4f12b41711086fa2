import type { operatorWire } from "@slipway/shared/wire";
import { aboutText, clean, count, type Paint, plainPaint, reasonText, table } from "./text.ts";

/** A plan as text. `startWith` is the command line that starts it. */
export function renderPlan(plan: operatorWire.PlanView, startWith: string, paint: Paint = plainPaint): string[] {
  const lines: string[] = [];
  const skipped = new Set(plan.skipped.map((host) => host.host));
  const planned = plan.waves.flatMap((wave) => wave.hosts).filter((host) => !skipped.has(host.host)).length;
  lines.push(
    `${planned} of ${count(plan.waves.flatMap((wave) => wave.hosts).length, "host")} would be done, in ${count(plan.waves.length, "wave")}, ${plan.skipped.length} skipped; nothing was touched`,
  );
  for (const wave of plan.waves) {
    lines.push("", paint.bold(`wave ${wave.number}  cluster ${clean(wave.cluster)}`));
    lines.push(
      ...table(
        wave.hosts.map((host) => [
          `  ${clean(host.host)}`,
          [...host.steps.map(clean), ...(skipped.has(host.host) ? ["then skipped"] : [])].join(", "),
        ]),
      ),
    );
  }
  if (plan.skipped.length > 0) {
    lines.push("", paint.bold("skipped"));
    lines.push(
      ...table(
        plan.skipped.map((host) => [
          `  ${clean(host.host)}`,
          clean(host.cluster),
          reasonText(host.reason).replace(`${clean(host.host)}: `, ""),
        ]),
      ),
    );
  }
  lines.push(...reasons("warnings", plan.warnings, paint.yellow, paint));
  lines.push(...reasons("blockers", plan.blockers, paint.red, paint));
  lines.push("");
  if (plan.blockers.length > 0)
    lines.push(
      `a run would fail in its checks, before anything is changed: ${count(plan.blockers.length, "blocker")}; resolve, then: ${startWith}`,
    );
  else if (planned === 0) lines.push("nothing would be done");
  else lines.push(`start it with: ${startWith}`);
  return lines;
}

function reasons(
  title: string,
  list: readonly operatorWire.Reason[],
  colour: (text: string) => string,
  paint: Paint,
): string[] {
  if (list.length === 0) return [];
  return ["", colour(paint.bold(title)), ...list.map((reason) => `  ${aboutText(reason)}`)];
}
