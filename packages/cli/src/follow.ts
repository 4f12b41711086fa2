import { setTimeout as sleep } from "node:timers/promises";
import { SlipwayError } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import type { OperatorClient } from "./client.ts";

/** Where the events of a followed run go: the live tree, plain lines, or nowhere. */
export interface FollowSink {
  snapshot(view: operatorWire.RunView): void;
  line(line: operatorWire.LogLine): void;
  progress(progress: operatorWire.ProgressView): void;
  /** The connection was lost (with what the operator should know) or is back (undefined). */
  connection(problem: string | undefined): void;
}

export interface FollowOptions {
  /** Ends the following; the run goes on. */
  readonly signal: AbortSignal;
}

/** First and longest wait between two attempts to reach a controller again. */
const RETRY_MS = 250;
const RETRY_MAX_MS = 2000;
/** A controller that keeps answering with an internal error is not waited for endlessly. */
const MAX_INTERNAL = 10;
/** The controller ends the stream of an ended run by itself; this bounds the wait for it. */
const LINGER_MS = 2000;

/**
 * Follows a run that is known to exist to its end, across any death and return of the controller: the stream is opened again after the last
 * line seen. Returns the last view; undefined when the signal ended it. Refusals (unknown run, no permission) throw.
 */
export async function follow(
  client: OperatorClient,
  run: string,
  sink: FollowSink,
  options: FollowOptions,
): Promise<operatorWire.RunView | undefined> {
  // One event may be several lines with one number; the lines of the last number tell how far it was read.
  let lastSeq = 0n;
  let linesOfLast: string[] = [];
  let view: operatorWire.RunView | undefined;
  let wait = RETRY_MS;
  let internal = 0;
  let lost = false;
  const { signal } = options;

  while (!signal.aborted) {
    const stream = client.watch(run, lastSeq === 0n ? 0n : lastSeq - 1n);
    const seen = [...linesOfLast];
    const cancel = () => stream.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    let linger: NodeJS.Timeout | undefined;
    let problem: SlipwayError | undefined;
    try {
      for await (const { message } of stream as AsyncIterable<operatorWire.WatchRunResponse>) {
        wait = RETRY_MS;
        internal = 0;
        if (lost) sink.connection(undefined);
        lost = false;
        if (message.case === "snapshot") {
          view = message.value;
          sink.snapshot(view);
          if (view.state === "ended") linger ??= setTimeout(cancel, LINGER_MS);
        } else if (message.case === "line") {
          const { seq, subject, text } = message.value;
          const words = `${subject}: ${text}`;
          const again = seq === lastSeq ? seen.indexOf(words) : -1;
          if (again >= 0) seen.splice(again, 1);
          if (seq < lastSeq || again >= 0) continue;
          if (seq > lastSeq) linesOfLast = [];
          lastSeq = seq;
          linesOfLast.push(words);
          sink.line(message.value);
        } else if (message.case === "progress") sink.progress(message.value);
      }
    } catch (thrown) {
      problem = SlipwayError.from(thrown);
    } finally {
      clearTimeout(linger);
      signal.removeEventListener("abort", cancel);
      stream.cancel();
    }
    if (signal.aborted) return undefined;
    if (view?.state === "ended") return view;

    const transient =
      problem === undefined || ["unreachable", "timed-out"].includes(problem.code) || problem.code === "internal";
    if (problem?.code === "internal" && ++internal >= MAX_INTERNAL) throw problem;
    if (problem !== undefined && !transient) throw client.explain(problem);
    if (!lost) sink.connection(`controller ${client.address} is away; the run goes on, waiting for it to come back`);
    lost = true;
    client.next();
    await sleep(wait, undefined, { signal }).catch(() => {});
    wait = Math.min(wait * 2, RETRY_MAX_MS);
  }
  return undefined;
}

/** Repeats a call as long as the controller is away, up to `forMs`: it may die between a run's end and its report. */
export async function persistently<T>(forMs: number, signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
  // Monotonic: a jump of the wall clock changes nothing.
  const end = performance.now() + forMs;
  for (let wait = RETRY_MS; ; wait = Math.min(wait * 2, RETRY_MAX_MS)) {
    try {
      return await attempt();
    } catch (thrown) {
      const error = SlipwayError.from(thrown);
      if (!["unreachable", "timed-out"].includes(error.code) || performance.now() + wait > end || signal.aborted)
        throw error;
      await sleep(wait, undefined, { signal }).catch(() => {});
    }
  }
}
