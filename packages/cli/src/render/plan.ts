import type { operatorWire } from "@slipway/shared/wire";
import { askedFor, commonSteps, makeRoomLines, scheduleHead, titled, turnText } from "./schedule.ts";
import { sizeText } from "./size.ts";
import { aboutText, clean, count, type Paint, pad, plainPaint, reasonText, table, width, wrap } from "./text.ts";

const LINE = 100;

/** A plan as text. `startWith` is the command line that starts it; longer lines than `columns` wrap. */
export function renderPlan(
  plan: operatorWire.PlanView,
  startWith: string,
  paint: Paint = plainPaint,
  columns = LINE,
): string[] {
  const lines: string[] = [];
  const skipped = new Set(plan.skipped.map((host) => host.host));
  const planned = plan.waves.flatMap((wave) => wave.hosts).filter((host) => !skipped.has(host.host)).length;
  const all = new Set([...plan.waves.flatMap((wave) => wave.hosts.map((host) => host.host)), ...skipped]).size;
  const waves = plan.waves.filter((wave) => !plan.schedule || wave.hosts.some((host) => !skipped.has(host.host)));
  lines.push(
    `${planned} of ${count(all, "host")} would be done, in ${count(waves.length, "wave")}, ${plan.skipped.length} skipped; nothing was touched`,
  );
  const instances = instancesText(plan);
  if (instances !== "") lines.push(instances);
  const { schedule } = plan;
  if (schedule) lines.push(...scheduleHead(plan, schedule, columns));
  const going = plan.waves.flatMap((wave) => wave.hosts).filter((host) => !skipped.has(host.host));
  const common = schedule ? commonSteps(going) : "";
  if (common !== "") lines.push(...titled("each host", [common], columns));
  const turns = new Map(schedule?.turns.map((t) => [t.host, t]));
  const sizes = new Map(
    plan.waves.flatMap((w) => w.hosts.flatMap((h) => h.instances.map((i) => [i.uuid, i.memoryMib]))),
  );
  for (const wave of plan.waves) {
    // Where there is a schedule, those that are skipped go in no wave; they are told below.
    const hosts = wave.hosts.filter((host) => !schedule || !skipped.has(host.host));
    if (hosts.length === 0) continue;
    lines.push("", paint.bold(`wave ${wave.number}  cluster ${clean(wave.cluster)}`));
    lines.push(...makeRoomLines(wave.makeRoom, sizes, columns));
    const names = Math.max(...hosts.map((host) => width(clean(host.host))));
    for (const host of hosts) {
      const steps = [...host.steps.map(clean), ...(skipped.has(host.host) ? ["then skipped"] : [])];
      const own = steps.join(", ") === common ? [] : steps.map((step, n) => (n < steps.length - 1 ? `${step},` : step));
      const turn = wrap(
        turnText(turns.get(host.host)).flatMap((part) => part.split(" ")),
        columns - names - 4,
      );
      const about = [...turn, ...wrap(own, columns - names - 4)];
      for (const [n, line] of about.entries())
        lines.push(`  ${pad(n === 0 ? clean(host.host) : "", names)}  ${line}`.trimEnd());
      if (about.length === 0) lines.push(`  ${clean(host.host)}`);
      lines.push(...plannedInstances(host.instances, " ".repeat(names + 4), paint, columns));
    }
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
  lines.push(...reasons("warnings", plan.warnings, paint.yellow, paint, columns));
  lines.push(...reasons("blockers", plan.blockers, paint.red, paint, columns));
  lines.push(...askedFor(plan, paint), "");
  if (plan.blockers.length > 0)
    lines.push(
      `a run would fail in its checks, before anything is changed: ${count(plan.blockers.length, "blocker")}; resolve, then: ${startWith}`,
    );
  else if (planned === 0) lines.push("nothing would be done");
  else lines.push(`start it with: ${startWith}`);
  return lines;
}

/** "12 moves (at least 10), 1 instance stops with consent, 2 stay". */
function instancesText(plan: operatorWire.PlanView): string {
  const all = plan.waves.flatMap((wave) => wave.hosts.flatMap((host) => host.instances));
  const stops = all.filter((i) => stopping.has(i.action)).length;
  const stays = all.filter((i) => i.action === "leave").length;
  const room = plan.waves.reduce((sum, wave) => sum + wave.makeRoom.length, 0);
  const parts = [
    plan.moves > 0 || plan.floor > 0
      ? `${plan.moves} ${plan.moves === 1 ? "move" : "moves"} (floor ${plan.floor})`
      : "",
    room > 0 ? `${room} of them to make room` : "",
    stops > 0 ? `${stops} ${stops === 1 ? "instance stops" : "instances stop"}` : "",
    stays > 0 ? `${stays} ${stays === 1 ? "stays" : "stay"}` : "",
  ].filter((part) => part !== "");
  return parts.length === 0 ? "" : `instances: ${parts.join(", ")}`;
}

const stopping = new Set(["shutdown-restart", "managed-save", "failover"]);

/** What becomes of a host's instances, by what is done with them and where they go; names wrap. */
function plannedInstances(
  instances: readonly operatorWire.PlannedInstance[],
  indent: string,
  paint: Paint,
  columns: number,
): string[] {
  const groups = Map.groupBy(instances, headOf);
  const widest = Math.max(0, ...[...groups.keys()].map(width));
  const lines: string[] = [];
  for (const [head, members] of groups) {
    const words = members.map((i, n) => {
      const by = i.by === "" || i.action === "return" ? "" : ` (${clean(i.by)})`;
      return `${clean(i.name)}${by}${n < members.length - 1 ? "," : ""}`;
    });
    const memory = members.reduce((sum, i) => sum + i.memoryMib, 0);
    if (memory > 0 && members[0]?.host !== "") words.push(`(${sizeText(memory)})`);
    const stops = stopping.has(members[0]?.action ?? "");
    const title = pad(head, widest);
    for (const [n, line] of wrap(words, columns - indent.length - widest - 2).entries())
      lines.push(`${indent}${n === 0 ? (stops ? paint.yellow(title) : title) : " ".repeat(widest)}  ${line}`);
  }
  return lines;
}

function headOf({ action, host }: operatorWire.PlannedInstance): string {
  switch (action) {
    case "migrate":
      return `-> ${clean(host)}`;
    case "migrate-with-storage":
      return `-> ${clean(host)}, with disks`;
    case "return":
      return `<- ${clean(host)}`;
    case "shutdown-restart":
      return "shut down";
    case "managed-save":
      return "saved";
    case "failover":
      return host === "" ? "fails over" : `fails over to ${clean(host)}`;
    case "leave":
      return "stays";
    default:
      return clean(action);
  }
}

function reasons(
  title: string,
  list: readonly operatorWire.Reason[],
  colour: (text: string) => string,
  paint: Paint,
  columns: number,
): string[] {
  if (list.length === 0) return [];
  const lines = list.flatMap((reason) =>
    wrap(aboutText(reason).split(" "), columns - 4).map((line, n) => `${n === 0 ? "  " : "    "}${line}`),
  );
  return ["", colour(paint.bold(title)), ...lines];
}
