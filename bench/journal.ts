import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { noRequests, openSqliteJournal, type SqliteJournal, type StepResult, type StepRow } from "@slipway/agent";
import { type ControllerStore, openStore, type RunEvent } from "@slipway/controller";
import type { StepKey } from "@slipway/shared";
import { alternate, type Bench } from "./kit/bench.ts";
import { atLeast, compared } from "./kit/figures.ts";

/** Time given to each measurement, in milliseconds. */
const SLICE_MS = 1_500;
const BATCH = 100;

/** Durable writes of agent and controller, beside the disk's own rate. */
export const journal: Bench = {
  about:
    "step transitions of the agent's journal and events of the controller's log, beside fdatasync of the same disk",
  rounds: 7,
  async run(scratch, { rounds, say }) {
    const dir = scratch.fresh("journal");
    const agent = openSqliteJournal(join(dir, "journal.db"));
    const store = openStore(join(dir, "controller.db"));
    const file = openSync(join(dir, "append"), "a");
    try {
      const steps = new Steps(agent);
      const events = new Events(store);
      say(`${rounds} rounds of 7 measurements, ${SLICE_MS} ms each`);
      const rates = await alternate(rounds, {
        disk: () => rate(() => append(file)),
        single: () => rate(() => steps.one()),
        batch: () => rate(() => steps.batch()),
        acks: () => steps.acks(),
        event: () => rate(() => events.append(1)),
        events: () => rate(() => events.append(BATCH)),
        pings: () => rate(() => events.pings(BATCH)),
      });
      const floor = { name: "fdatasync, 4 KiB append", values: rates.disk };
      return {
        bench: "journal",
        figures: [
          compared("agent: accept or end, one a commit", "/s", floor, rates.single, atLeast(0.8)),
          compared(`agent: accept and end, ${BATCH} rows a batch`, "rows/s", floor, rates.batch, atLeast(20)),
          compared(`agent: acknowledgements, ${BATCH} a batch`, "rows/s", floor, rates.acks, atLeast(20)),
          compared("controller: event, one a commit", "/s", floor, rates.event, atLeast(0.8)),
          compared(`controller: events, ${BATCH} a commit`, "rows/s", floor, rates.events, atLeast(20)),
          compared(`controller: ends of pings, ${BATCH} a commit`, "rows/s", floor, rates.pings, atLeast(20)),
        ],
        notes: [
          `median of ${rounds} rounds; all files in one directory of one disk; WAL, synchronous=FULL`,
          "a row is a whole step's state with its spec and result, and its entry in the outbox, or a whole event",
        ],
      };
    } finally {
      closeSync(file);
      agent.close();
      store.close();
    }
  },
};

const block = Buffer.alloc(4096, 0x5a);

function append(file: number): number {
  writeSync(file, block);
  fdatasyncSync(file);
  return 1;
}

/** How often a second `action` does what it counts. */
function rate(action: () => number): number {
  const started = performance.now();
  let done = 0;
  let now = started;
  while (now - started < SLICE_MS) {
    done += action();
    now = performance.now();
  }
  return (done * 1000) / (now - started);
}

/** A journal that lives as an agent's does: each step accepted, ended, its reports acknowledged. */
class Steps {
  readonly #journal: SqliteJournal;
  #count = 0;
  #open: StepKey | undefined;

  constructor(journal: SqliteJournal) {
    this.#journal = journal;
  }

  /** One transition, in a transaction of its own. */
  one(): number {
    if (this.#open) {
      this.#journal.end(this.#open, result);
      this.#open = undefined;
    } else {
      const row = this.#next();
      this.#journal.accept(row);
      this.#open = row.key;
    }
    return 1;
  }

  batch(): number {
    this.#journal.batch(() => {
      for (let i = 0; i < BATCH / 2; i++) {
        const row = this.#next();
        this.#journal.accept(row);
        this.#journal.end(row.key, result);
      }
    });
    return BATCH;
  }

  /** Rate at which what lies in the outbox is acknowledged; empties it. */
  acks(): number {
    let done = 0;
    let ms = 0;
    while (ms < SLICE_MS) {
      let entries = this.#journal.outbox(0, BATCH);
      if (entries.length === 0) {
        for (let i = 0; i < 10; i++) this.batch();
        entries = this.#journal.outbox(0, BATCH);
      }
      const ids = entries.map((entry) => entry.id);
      const started = performance.now();
      this.#journal.ack(ids);
      ms += performance.now() - started;
      done += ids.length;
    }
    this.#journal.prune(1000);
    return (done * 1000) / ms;
  }

  #next(): StepRow {
    const key = { run: "bench", host: "hv1", step: "Maintenance", attempt: ++this.#count };
    return { key, spec, state: "accepted", bootId: "b0", acceptedAtMs: Date.now(), hook };
  }
}

const spec = { kind: "hook", stage: "Maintenance", args: ["--quick"], timeoutMs: 60_000, graceMs: 5_000 } as const;
const hook = { file: "/etc/slipway/hooks/Maintenance.sh", sha256: "0".repeat(64) };
const result = {
  verdict: "ok",
  exitCode: 0,
  signal: "",
  reason: "",
  startedAtMs: 1_700_000_000_000,
  endedAtMs: 1_700_000_000_100,
  durationMs: 100,
  output: "updated 3 packages\n",
  outputBytes: 19,
  requests: noRequests,
  bootIdBefore: "b0",
  bootIdAfter: "b0",
  hookFile: hook.file,
  hookSha256: hook.sha256,
} satisfies StepResult;

class Events {
  readonly #store: ControllerStore;
  #seq = 0;
  #ping = 0;

  constructor(store: ControllerStore) {
    this.#store = store;
  }

  append(count: number): number {
    const entries = Array.from({ length: count }, () => {
      const seq = ++this.#seq;
      const event: RunEvent = { type: "step-ended", host: "hv1", step: "Maintenance", attempt: seq, result };
      return { run: "bench", recorded: { seq, t: seq, at: Date.now(), event } };
    });
    this.#store.runs.append(entries);
    return count;
  }

  pings(count: number): number {
    const ping = `ping-${++this.#ping}`;
    this.#store.pings.append(
      Array.from({ length: count }, (_, i) => ({ ping, host: `hv${i}`, atMs: Date.now(), verdict: "ok" })),
    );
    return count;
  }
}
