import { durationText } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import { scopeText } from "../options/scope.ts";
import { clean, clock, count, cut, elapsed, outcomeWord, type Paint, pad, reasonText, width } from "./text.ts";

/** What is known of a followed run. */
export interface RunPicture {
  view: operatorWire.RunView | undefined;
  /** By `progressKey`. */
  progress: Map<string, operatorWire.ProgressView>;
  /** Newest last. */
  recent: operatorWire.LogLine[];
  /** What the operator should know about the connection; empty when all is well. */
  notice: string;
}

export interface TreeSize {
  readonly columns: number;
  readonly rows: number;
  readonly now: number;
  readonly paint: Paint;
  /** Whether the terminal shows more than ASCII. */
  readonly unicode: boolean;
}

const RECENT = 4;

/** Under which key the progress of a step is kept: its host is the one whose agent does it. */
export function progressKey(host: string, step: string): string {
  return `${host} ${step}`;
}

/** Keys of all steps that are in hand for a host: its own, and those on instances. */
export function stepsInHand(host: operatorWire.HostView): string[] {
  return [progressKey(host.name, host.step), ...host.instances.map((a) => progressKey(a.from, `${a.verb}:${a.uuid}`))];
}

/** The word for a host's place in the run, with the symbol and colour that double it. */
const kinds = {
  failed: { rank: 0, unicode: "✖", ascii: "x", colour: "red" },
  running: { rank: 1, unicode: "▶", ascii: ">", colour: "cyan" },
  held: { rank: 2, unicode: "…", ascii: "~", colour: "yellow" },
  waiting: { rank: 3, unicode: "·", ascii: ".", colour: "dim" },
  skipped: { rank: 4, unicode: "–", ascii: "-", colour: "yellow" },
  updated: { rank: 4, unicode: "✔", ascii: "+", colour: "green" },
  untouched: { rank: 4, unicode: "○", ascii: "o", colour: "dim" },
} as const satisfies Record<string, { rank: number; unicode: string; ascii: string; colour: keyof Paint }>;
type Kind = keyof typeof kinds;

export function hostKind(host: operatorWire.HostView): Kind {
  if (host.outcome !== "" && Object.hasOwn(kinds, host.outcome)) return host.outcome as Kind;
  if (host.step !== "") return "running";
  return host.waitsFor.length > 0 ? "held" : "waiting";
}

/** The word for it. */
function kindWord(host: operatorWire.HostView): string {
  const kind = hostKind(host);
  return outcomeWord({ outcome: kind, reasonCode: host.reasonCode });
}

/** How long a host's own stages took in all; waiting for its turn does not count. Empty when nothing ran. */
export function stageTime(stages: readonly operatorWire.StageRecord[]): string {
  const ran = stages.filter((stage) => stage.verdict !== "no-hook" && stage.startedAt !== "" && stage.endedAt !== "");
  return ran.length === 0 ? "" : durationText(ran.reduce((sum, stage) => sum + Number(stage.durationMs), 0));
}

/** What is said behind a host's name. */
function hostNote(
  host: operatorWire.HostView,
  progress: operatorWire.ProgressView | undefined,
  size: TreeSize,
): string {
  const kind = hostKind(host);
  const { paint } = size;
  if (host.outcome !== "") {
    const parts = [stageTime(host.stages), clean(host.reason)];
    if (host.cordoned) parts.push(paint.yellow("still cordoned"));
    return parts.filter((part) => part !== "").join("  ");
  }
  if (kind === "running") {
    const attempt = host.attempt > 1 ? ` (attempt ${host.attempt})` : "";
    const parts = [host.step + attempt, elapsed(Number(host.stepStartedAtMs), size.now)];
    if (host.step === "drain" && host.instancesDone + host.instancesLeft > 0)
      parts.push(`${host.instancesDone} moved, ${host.instancesLeft} left`);
    if (progress !== undefined && host.step.startsWith(progress.stage)) {
      if (progress.percent !== undefined) parts.push(`${progress.percent} %`);
      parts.push(clean(progress.message));
    }
    if (host.waitsFor.length > 0) parts.push(paint.yellow(`waits: ${host.waitsFor.map(reasonText).join(", ")}`));
    return parts.filter((part) => part !== "").join("  ");
  }
  const waits = host.waitsFor.map(reasonText).join(", ");
  return [host.state === "waiting" ? "" : clean(host.state), waits].filter((part) => part !== "").join("  ");
}

/** Tallies hosts by word: "2 updated, 1 running, 3 waiting". */
export function tally(hosts: readonly operatorWire.HostView[]): string {
  const order: Kind[] = ["updated", "skipped", "failed", "untouched", "running", "held", "waiting"];
  return order
    .flatMap((kind) => [
      ...Map.groupBy(
        hosts.filter((h) => hostKind(h) === kind),
        kindWord,
      ),
    ])
    .map(([word, those]) => `${those.length} ${word}`)
    .join(", ");
}

/** The live picture of a run, at most `rows` lines of at most `columns` columns. Pure. */
export function renderTree(picture: RunPicture, size: TreeSize): string[] {
  const { view } = picture;
  const { paint } = size;
  if (view === undefined) return [cut(picture.notice || "waiting for the controller", size.columns)];
  const head: string[] = [];
  const state = view.paused ? paint.yellow("paused") : view.outcome || view.state;
  const end = view.endedAtMs > 0n ? Number(view.endedAtMs) : size.now;
  head.push(
    [
      paint.bold(`run ${view.run}`),
      state,
      elapsed(Number(view.startedAtMs), end),
      tally(view.hosts),
      // Last, because it may be long and is known to whoever started the run.
      paint.dim(clean(scopeText(view.scope))),
    ].join("  "),
  );
  if (view.paused) head.push(`  ${paint.yellow("paused:")} ${reasonText(view.pauseReason) || "on request"}`);
  if (picture.notice !== "") head.push(`  ${paint.yellow("notice:")} ${picture.notice}`);

  const recent = picture.recent
    .slice(-RECENT)
    .map((line) => paint.dim(`${clock(Number(line.atMs))} ${clean(line.subject)}: ${clean(line.text)}`));
  // A small terminal shows hosts first, then the latest lines.
  const spare = Math.max(0, size.rows - head.length - 2);
  const tail = spare >= 10 ? recent : recent.slice(recent.length - Math.max(0, spare - 6));
  const body = renderHosts(view.hosts, picture, size, Math.max(0, size.rows - head.length - tail.length));
  return [...head, ...body, ...tail].slice(0, Math.max(1, size.rows)).map((line) => cut(line, size.columns));
}

function renderHosts(
  hosts: readonly operatorWire.HostView[],
  picture: RunPicture,
  size: TreeSize,
  room: number,
): string[] {
  const clusters = new Map<string, operatorWire.HostView[]>();
  for (const host of hosts) clusters.set(host.cluster, [...(clusters.get(host.cluster) ?? []), host]);
  const shown = chooseHosts(clusters, room);
  // Moves in hand are shown as far as the hosts leave room for them.
  let spare = room - clusters.size - shown.size - (shown.size < hosts.length ? clusters.size + 1 : 0);
  const nameWidth = Math.max(0, ...hosts.filter((h) => shown.has(h.name)).map((h) => width(clean(h.name))));
  const lines: string[] = [];
  const folded: string[] = [];
  const foldedHosts: operatorWire.HostView[] = [];
  for (const [cluster, members] of clusters) {
    const visible = members.filter((h) => shown.has(h.name));
    const title = cluster === "" ? "no cluster" : `cluster ${clean(cluster)}`;
    if (visible.length === 0) {
      folded.push(title);
      foldedHosts.push(...members);
      continue;
    }
    lines.push(`${size.paint.bold(title)}  ${size.paint.dim(tally(members))}`);
    for (const host of visible) {
      lines.push(hostLine(host, picture.progress.get(progressKey(host.name, host.step)), nameWidth, size));
      const moves = actionLines(host, picture, nameWidth, size, Math.max(0, spare));
      lines.push(...moves);
      spare -= moves.length;
    }
    const hidden = members.filter((h) => !shown.has(h.name));
    if (hidden.length > 0) lines.push(size.paint.dim(`  and ${hidden.length} more: ${tally(hidden)}`));
  }
  if (folded.length > 0)
    lines.push(
      size.paint.dim(
        `and ${count(folded.length, "more cluster")} of ${count(foldedHosts.length, "host")}: ${tally(foldedHosts)}`,
      ),
    );
  return lines.slice(0, room);
}

function hostLine(
  host: operatorWire.HostView,
  progress: operatorWire.ProgressView | undefined,
  nameWidth: number,
  size: TreeSize,
): string {
  const kind = hostKind(host);
  const look = kinds[kind];
  const mark = size.paint[look.colour](`${size.unicode ? look.unicode : look.ascii} ${pad(kindWord(host), 9)}`);
  return `  ${mark} ${pad(clean(host.name), nameWidth)}  ${hostNote(host, progress, size)}`.trimEnd();
}

/** What is done to instances for a host just now, beneath its line: "web-2  -> hv3  41 %  8 s". */
function actionLines(
  host: operatorWire.HostView,
  picture: RunPicture,
  nameWidth: number,
  size: TreeSize,
  room: number,
): string[] {
  const all = host.outcome === "" ? host.instances.filter((a) => a.outcome === "running") : [];
  if (all.length === 0 || room < 1) return [];
  const indent = " ".repeat(2 + 2 + 9 + 1 + nameWidth + 2);
  const fits = all.length <= room ? all : all.slice(0, room - 1);
  const widest = Math.max(0, ...fits.map((a) => width(clean(a.name))));
  const ways = Math.max(0, ...fits.map((a) => width(actionText(a))));
  const lines = fits.map((a) => {
    const told = picture.progress.get(progressKey(a.from, `${a.verb}:${a.uuid}`));
    const percent = told?.percent ?? a.percent;
    const parts = [
      pad(clean(a.name), widest),
      pad(actionText(a), ways),
      percent === undefined ? "     " : `${String(percent).padStart(3)} %`,
      elapsed(Number(a.startedAtMs), size.now),
      a.attempt > 1 ? `attempt ${a.attempt}` : "",
      clean(told?.message ?? ""),
    ];
    return size.paint.dim(`${indent}${parts.filter((part) => part !== "").join("  ")}`.trimEnd());
  });
  if (fits.length < all.length) lines.push(size.paint.dim(`${indent}and ${all.length - fits.length} more`));
  return lines;
}

const doing: Readonly<Record<string, string>> = {
  stop: "is shut down",
  save: "is saved",
  start: "is started",
  resume: "is resumed",
};

function actionText(a: operatorWire.InstanceAction): string {
  return a.verb === "move" ? `-> ${clean(a.to)}` : (doing[a.verb] ?? clean(a.verb));
}

/** The hosts worth the room: failed and running first, then held and waiting, finished last. */
function chooseHosts(clusters: Map<string, operatorWire.HostView[]>, room: number): Set<string> {
  const all = [...clusters.values()].flat();
  if (all.length + clusters.size <= room) return new Set(all.map((h) => h.name));
  const ranked = all
    .map((host, index) => ({ host, index, rank: kinds[hostKind(host)].rank }))
    .sort((a, b) => a.rank - b.rank || a.index - b.index);
  const shown = new Set<string>();
  const opened = new Map<string, number>();
  // One line for the clusters that do not fit.
  let left = room - (clusters.size > 1 ? 1 : 0);
  for (const { host } of ranked) {
    const seen = opened.get(host.cluster);
    // A cluster costs its title and its own "and n more".
    const cost = seen === undefined ? 3 : 1;
    if (left < cost) continue;
    left -= cost;
    opened.set(host.cluster, (seen ?? 0) + 1);
    shown.add(host.name);
  }
  return shown;
}
