import { durationText } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import { clean, type Paint, reasonText, table } from "./text.ts";

type Host = Pick<operatorWire.HostReport, "name" | "instances" | "notes">;

/** What a word of the wire means for a reader, with what is right in green and what is not in red. */
const outcomes: Readonly<Record<string, "green" | "yellow" | "red">> = {
  moved: "green",
  started: "green",
  resumed: "green",
  stopped: "yellow",
  saved: "yellow",
  ended: "yellow",
  stayed: "red",
  failed: "red",
};

const purposes: Readonly<Record<string, string>> = { return: "return", "make-room": "makes room" };

/** What became of instances, host by host: moves and stops with what they took, then what did not go as wanted. */
export function renderActions(hosts: readonly Host[], paint: Paint): string[] {
  const all = hosts.flatMap((host) => host.instances.map((action) => ({ host, action })));
  const lines: string[] = [];
  if (all.length > 0) {
    const rows = all.map(({ host, action }) => {
      const colour = paint[outcomes[action.outcome] ?? "yellow"];
      const note = [
        purposes[action.purpose] ?? "",
        action.percent === undefined ? "" : `${action.percent} %`,
        action.attempt > 1 ? `attempt ${action.attempt}` : "",
        clean(action.reason),
      ];
      return [
        clean(host.name),
        clean(action.name),
        wayText(action),
        colour(clean(action.outcome)),
        action.durationMs > 0n ? durationText(Number(action.durationMs)) : "-",
        action.downtimeMs > 0 ? durationText(action.downtimeMs) : "-",
        note.filter(Boolean).join(", "),
      ];
    });
    lines.push("", ...table([["HOST", "INSTANCE", "WAY", "BECAME", "TOOK", "PAUSE", "NOTE"], ...rows], paint));
  }
  const notes = hosts.flatMap((host) => host.notes);
  if (notes.length > 0) lines.push("", paint.yellow("to know"), ...notes.map((n) => `  ${reasonText(n)}`));
  return lines;
}

/** "hv1 -> hv2", or the host where it stayed. */
export function wayText({ from, to }: Pick<operatorWire.InstanceAction, "from" | "to">): string {
  return to === "" || to === from ? clean(from) : `${clean(from)} -> ${clean(to)}`;
}

/** Sums of a run: "12 moves, 1 stopped, 1 failed". Empty when nothing was done to instances. */
export function actionTally(hosts: readonly Pick<Host, "instances">[]): string {
  const all = hosts.flatMap((h) => h.instances);
  const count = (...words: string[]) => all.filter((a) => words.includes(a.outcome)).length;
  const moved = count("moved");
  const parts = [
    moved > 0 ? `${moved} ${moved === 1 ? "move" : "moves"}` : "",
    ...(
      [
        ["stopped", count("stopped", "saved")],
        ["started again", count("started", "resumed")],
        ["not moved", count("stayed", "failed")],
      ] as const
    ).map(([word, n]) => (n > 0 ? `${n} ${word}` : "")),
  ];
  return parts.filter(Boolean).join(", ");
}
