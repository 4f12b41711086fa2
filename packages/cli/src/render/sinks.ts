import type { operatorWire } from "@slipway/shared/wire";
import type { FollowSink } from "../follow.ts";
import type { Io } from "../io.ts";
import { Screen } from "./screen.ts";
import { clean, clock, type Paint } from "./text.ts";
import { progressKey, type RunPicture, renderTree, stepsInHand } from "./tree.ts";

/** A sink that must be closed before anything else is printed. */
export interface ClosableSink extends FollowSink {
  close(): void;
}

/** One line of the run's log. */
export function logLine(line: Pick<operatorWire.LogLine, "atMs" | "subject" | "text">): string {
  return `${clock(Number(line.atMs))} ${clean(line.subject)}: ${clean(line.text)}`;
}

/** Plain lines for pipes and files: every log line once (pauses are among them), notices on stderr. */
export function lineSink(io: Io): ClosableSink {
  return {
    snapshot() {},
    line: (line) => io.out(`${logLine(line)}\n`),
    progress() {},
    connection: noticeOn(io),
    close() {},
  };
}

/** Says nothing on stdout, which belongs to the one JSON object. */
export function quietSink(io: Io): ClosableSink {
  return { snapshot() {}, line() {}, progress() {}, connection: noticeOn(io), close() {} };
}

function noticeOn(io: Io): (problem: string | undefined) => void {
  return (problem) => io.err(`slipway: ${problem ?? "the controller is back"}\n`);
}

/** The live tree. */
export function treeSink(io: Io, paint: Paint): ClosableSink {
  const picture: RunPicture = { view: undefined, progress: new Map(), recent: [], notice: "" };
  const unicode = /utf-?8/i.test(io.env["LC_ALL"] || io.env["LC_CTYPE"] || io.env["LANG"] || "");
  const screen = new Screen(io, () =>
    // The last column stays free: some terminals wrap as soon as it is written. The last row holds the cursor.
    renderTree(picture, { columns: io.columns() - 1, rows: io.rows() - 1, now: io.now(), paint, unicode }),
  );
  screen.open();
  return {
    snapshot(view) {
      picture.view = view;
      // What is told of a step counts while it is in hand.
      const inHand = new Set(view.hosts.flatMap((h) => stepsInHand(h)));
      for (const key of picture.progress.keys()) if (!inHand.has(key)) picture.progress.delete(key);
    },
    line(line) {
      picture.recent.push(line);
      if (picture.recent.length > 20) picture.recent.shift();
    },
    progress(progress) {
      picture.progress.set(progressKey(progress.host, progress.stage), progress);
    },
    connection(problem) {
      picture.notice = problem ?? "";
    },
    close: () => screen.close(),
  };
}
