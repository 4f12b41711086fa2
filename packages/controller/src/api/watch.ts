import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServerWritableStream } from "@grpc/grpc-js";
import { toStatus } from "@slipway/shared/grpc";
import type { operatorWire } from "@slipway/shared/wire";
import type { Run } from "../domain/run.ts";
import { describe } from "../engine/describe.ts";
import { reduce } from "../engine/reduce.ts";
import type { Progress } from "../fleet/progress.ts";
import type { ApiPorts } from "./deps.ts";
import { foldLines, unknownRun } from "./runs.ts";
import { lineView, runView } from "./views.ts";

/** Least time between two snapshots, in milliseconds. */
const SNAPSHOT_MS = 250;
/** How often it is looked whether reasons to wait have changed, which are in no event, in milliseconds. */
const WAITS_MS = 1_000;

type Message = MessageInitShape<typeof operatorWire.WatchRunResponseSchema>;
export type WatchCall = ServerWritableStream<operatorWire.WatchRunRequest, Message>;

/** Watchers of runs, so that they can be sent home when the controller stops. */
export class Watchers {
  readonly #ports: ApiPorts;
  readonly #open = new Set<Watcher>();

  constructor(ports: ApiPorts) {
    this.#ports = ports;
  }

  watch(call: WatchCall): void {
    const watcher: Watcher = new Watcher(this.#ports, call, () => this.#open.delete(watcher));
    this.#open.add(watcher);
    watcher.begin();
  }

  stop(status: { code: number; details: string }): void {
    for (const watcher of [...this.#open]) watcher.stop(status);
  }
}

/**
 * One watcher: follows the durable log at its own pace. It reads on only when the last message went out, so a slow one costs
 * nothing but its place in the log; snapshots and progress in between are dropped.
 */
class Watcher {
  readonly #ports: ApiPorts;
  readonly #call: WatchCall;
  readonly #over: () => void;
  readonly #id: string;
  readonly #undo: (() => void)[] = [];
  #run: Run | undefined;
  #blocked = false;
  #scheduled = false;
  #snapshotDue = false;
  #snapshotTimer: NodeJS.Timeout | undefined;
  #waits = "";
  #ended = false;

  constructor(ports: ApiPorts, call: WatchCall, over: () => void) {
    this.#ports = ports;
    this.#call = call;
    this.#over = over;
    this.#id = call.request.run;
  }

  begin(): void {
    const { store, coordinator, progress } = this.#ports;
    const log = store.runs.log(this.#id);
    if (log.length === 0) {
      this.#over();
      throw unknownRun(this.#id, store.runs.ids());
    }
    this.#call.on("drain", () => {
      this.#blocked = false;
      this.#safely(() => this.#pump());
    });
    for (const event of ["cancelled", "error", "close"]) this.#call.on(event, () => this.#close());
    this.#undo.push(
      coordinator.onUpdate(({ run }) => {
        if (run.spec.run === this.#id) this.#schedule();
      }),
      progress.onProgress((p) => {
        if (p.run === this.#id) this.#progress(p);
      }),
    );
    const timer = setInterval(() => this.#safely(() => this.#lookAtWaits()), WAITS_MS);
    this.#undo.push(() => clearInterval(timer));
    const { run, lines } = foldLines(log);
    this.#run = run;
    this.#snapshot();
    for (const line of lines)
      if (line.seq > this.#call.request.afterSeq) this.#write({ message: { case: "line", value: line } });
    for (const p of progress.of(this.#id)) this.#progress(p);
    this.#schedule();
  }

  stop(status: { code: number; details: string }): void {
    if (this.#ended) return;
    this.#close();
    this.#call.emit("error", status);
  }

  #schedule(): void {
    if (this.#scheduled || this.#ended) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#safely(() => this.#pump());
    });
  }

  /** What goes wrong for one watcher ends this one, not the controller. */
  #safely(work: () => void): void {
    try {
      work();
    } catch (thrown) {
      this.#ports.log.error({ run: this.#id, err: thrown }, "a watcher could not be served");
      this.stop(toStatus(thrown));
    }
  }

  /** Reads on in the log. */
  #pump(): void {
    if (this.#blocked || this.#ended || this.#run === undefined) return;
    for (const recorded of this.#ports.store.runs.logAfter(this.#id, this.#run.lastSeq)) {
      const before: Run = this.#run;
      this.#run = reduce(before, recorded);
      this.#snapshotDue = true;
      for (const line of describe(before, this.#run, recorded))
        this.#write({ message: { case: "line", value: lineView(recorded.seq, recorded.at, line) } });
      if (this.#blocked) return;
    }
    if (this.#run.state === "ended") {
      this.#snapshot();
      this.#close();
      this.#call.end();
    } else if (this.#snapshotDue) this.#snapshotSoon();
  }

  #snapshotSoon(): void {
    if (this.#snapshotTimer || this.#blocked || this.#ended) return;
    this.#snapshot();
    this.#snapshotTimer = setTimeout(() => {
      this.#snapshotTimer = undefined;
      if (this.#snapshotDue) this.#safely(() => this.#snapshotSoon());
    }, SNAPSHOT_MS);
  }

  #snapshot(): void {
    if (this.#run === undefined) return;
    this.#snapshotDue = false;
    const waits = this.#run.state === "ended" ? [] : this.#ports.coordinator.waits(this.#id);
    this.#waits = JSON.stringify(waits);
    const percentOf = (on: string, step: string) => this.#ports.progress.percentOf(this.#id, on, step);
    this.#write({ message: { case: "snapshot", value: runView(this.#run, waits, "snapshot", percentOf) } });
  }

  #lookAtWaits(): void {
    if (JSON.stringify(this.#ports.coordinator.waits(this.#id)) === this.#waits) return;
    this.#snapshotDue = true;
    this.#snapshotSoon();
  }

  #progress({ host, stage, percent, message }: Progress): void {
    if (this.#blocked || this.#ended) return;
    const value = { host, stage, message, ...(percent === undefined ? {} : { percent }) };
    this.#write({ message: { case: "progress", value } });
  }

  #write(message: Message): void {
    if (!this.#ended && !this.#call.write(message)) this.#blocked = true;
  }

  #close(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#snapshotTimer);
    for (const undo of this.#undo) undo();
    this.#over();
  }
}
