import { type Journal, noRequests } from "@slipway/agent";
import {
  Coordinator,
  type CoordinatorPorts,
  decide,
  type LogEntry,
  type Run,
  type RunEvent,
  reduce,
} from "@slipway/controller";
import { keyText } from "@slipway/shared";
import type { Variant } from "@slipway/simulator";

/** A way of getting it wrong that must not go unnoticed. */
export interface Mutant {
  readonly name: string;
  readonly variant: Variant;
  /** What is complained of first; another complaint means that the mutant is not the one described. */
  readonly caught: RegExp;
}

/** A journal with some of its methods replaced. */
export function journalWith(change: (inner: Journal) => Partial<Journal>): (inner: Journal) => Journal {
  return (inner) => ({
    accept: (row) => inner.accept(row),
    end: (key, result) => inner.end(key, result),
    requestCancel: (key, reason) => inner.requestCancel(key, reason),
    countReboot: (key) => inner.countReboot(key),
    ack: (ids) => inner.ack(ids),
    prune: (keep) => inner.prune(keep),
    get: (key) => inner.get(key),
    open: () => inner.open(),
    outbox: (after, limit) => inner.outbox(after, limit),
    cordon: () => inner.cordon(),
    setCordon: (mark) => inner.setCordon(mark),
    generation: (uuid) => inner.generation(uuid),
    raiseGeneration: (uuid, generation) => inner.raiseGeneration(uuid, generation),
    batch: (act) => inner.batch(act),
    ...change(inner),
  });
}

/** A controller whose engine's records are changed before they are written. */
export function engineWith(change: (records: readonly RunEvent[], run: Run) => readonly RunEvent[]): Variant {
  return {
    coordinator: (ports) =>
      new Coordinator(ports, (run, fleet, now) => {
        const decision = decide(run, fleet, now);
        return { ...decision, records: change(decision.records, run) };
      }),
  };
}

const portsWith = (change: (ports: CoordinatorPorts) => Partial<CoordinatorPorts>): Variant => ({
  ports: (ports) => ({ ...ports, ...change(ports) }),
});

export const okResult = {
  verdict: "ok",
  signal: "",
  reason: "",
  startedAtMs: 0,
  endedAtMs: 0,
  durationMs: 0,
  output: "",
  requests: { rebootRequired: false, rerunAfterReboot: false, skip: "", message: "" },
  bootIdBefore: "",
  bootIdAfter: "",
} as const;

/** A controller that takes a verdict for whatever execution of the step is the latest, as CloudStack's results file does. */
class StageOnlyCoordinator extends Coordinator {
  override stepEnded(...[ref, result, durable]: Parameters<Coordinator["stepEnded"]>): void {
    const host = this.run(ref.run)?.hosts.find((h) => h.name === ref.host);
    const latest = host?.steps.findLast((s) => s.step === ref.step)?.attempt ?? ref.attempt;
    super.stepEnded({ ...ref, attempt: latest }, result, durable);
  }
}

/** A controller that trusts its memory of what was sent: a request that may be lost is not made again. */
const sendsOnce = (ports: CoordinatorPorts): Partial<CoordinatorPorts> => {
  const sent = new Set<string>();
  return {
    agents: {
      send: (host, command) => {
        if (command.kind !== "start" || !sent.has(keyText(command.ref))) ports.agents.send(host, command);
        sent.add(keyText(command.ref));
      },
    },
  };
};

export const mutants: readonly Mutant[] = [
  {
    name: "the agent starts the hook before it is in the journal",
    variant: {
      journal: (inner, host) =>
        journalWith(() => ({
          accept: (row) => {
            const { spec } = row;
            if (spec.kind === "hook" && inner.get(row.key) === undefined)
              host.executor.start(keyText(row.key), {
                program: row.hook?.file ?? "",
                args: spec.args,
                env: { SLIPWAY_STAGE: spec.stage },
                timeoutMs: spec.timeoutMs,
                graceMs: spec.graceMs,
                bootId: host.bootId,
              });
            return inner.accept(row);
          },
        }))(inner),
    },
    caught: /starts without being in the agent's journal/,
  },
  {
    name: "the agent forgets which keys it has had",
    variant: {
      journal: journalWith((inner) => ({
        get: (key) => {
          const row = inner.get(key);
          return row?.state === "ended" ? undefined : row;
        },
      })),
    },
    caught: /runs a second time|starts after its verdict|the log says interrupted/,
  },
  {
    name: "the agent drops what it has sent before it is acknowledged",
    variant: {
      journal: journalWith((inner) => ({
        outbox: (after, limit) => {
          const entries = inner.outbox(after, limit);
          inner.ack(entries.map((e) => e.id));
          return entries;
        },
      })),
    },
    caught: /the log has no verdict|the log says/,
  },
  {
    name: "the agent starts an open step again after a restart",
    variant: {
      executor: (inner, host) => ({
        start: (id, task) => inner.start(id, task),
        look: (id) => {
          const look = inner.look(id);
          if (look.state !== "lost") return look;
          host.executor.forget(id);
          return { state: "absent" };
        },
        cancel: (id, reason) => inner.cancel(id, reason),
        progress: (id) => inner.progress(id),
        forget: (id) => inner.forget(id),
        known: () => inner.known(),
      }),
    },
    caught: /runs a second time/,
  },
  {
    name: "the agent calls an interrupted hook done after a reboot",
    variant: {
      executor: (inner, host) => ({
        start: (id, task) => inner.start(id, task),
        look: (id) => {
          const look = inner.look(id);
          if (look.state !== "lost" || look.bootId === host.bootId) return look;
          const { state: _, reason: _r, ...kept } = look;
          const ended = { endedAtMs: host.wallMs(), durationMs: 0, exitCode: 0, signal: "", timedOut: false };
          const quiet = { cancelled: false, cancelReason: "", startError: "" };
          return { state: "ended", result: { ...kept, ...ended, ...quiet, requests: noRequests } };
        },
        cancel: (id, reason) => inner.cancel(id, reason),
        progress: (id) => inner.progress(id),
        forget: (id) => inner.forget(id),
        known: () => inner.known(),
      }),
    },
    caught: /the log says ok, the truth is .*lost/,
  },
  {
    name: "the controller acknowledges before it has written",
    variant: { acknowledgesEarly: true },
    caught: /acknowledged and not in the log/,
  },
  {
    name: "the controller acts before it has written",
    variant: portsWith(({ store, work }) => {
      // Written behind the coordinator's back, with the next batch.
      let behind: readonly LogEntry[] = [];
      return {
        store: {
          ...store,
          append: (entries) => {
            const due = behind;
            behind = entries;
            if (due.length > 0) store.append(due);
            work?.();
          },
        },
      };
    }),
    caught: /before it is in the log|not in the log|without an open ledger entry|not that of the log/,
  },
  {
    name: "the ledger is written after the cordon",
    variant: engineWith((records, run) => [
      ...records.filter((e) => e.type !== "ledger-opened"),
      ...records
        .filter((e) => e.type === "step-started" && e.step === "drain")
        .flatMap((e) => ("host" in e ? [e.host] : []))
        .map((host) => ({
          type: "ledger-opened" as const,
          id: `${run.spec.run}:${host}:cordon:1`,
          host,
          change: "cordon",
          undo: "uncordon",
        })),
    ]),
    caught: /without an open ledger entry/,
  },
  {
    name: "the gate is not asked",
    variant: engineWith((records, run) =>
      records.flatMap((e): RunEvent[] => {
        if (e.type !== "step-started" || e.step !== "gate") return [e];
        const { host, attempt } = e;
        const id = `${run.spec.run}:${host}:cordon:${attempt}`;
        return [
          { type: "ledger-opened", id, host, change: "cordon", undo: "uncordon" },
          { ...e, step: "cordon" },
        ];
      }),
    ),
    caught: /the gate has not agreed|cordon: after PreMaintenance/,
  },
  {
    name: "an unknown answer of the gate is taken for a yes",
    variant: portsWith(({ gate }) => ({
      gate: {
        ask: (question, answer) =>
          gate.ask(question, (a) => answer(a.verdict === "unknown" ? { ...a, verdict: "ok" } : a)),
      },
    })),
    caught: /the gate has not agreed|answer of the gate that is/,
  },
  {
    name: "an old answer of the gate is acted on",
    variant: {
      coordinator: (ports) =>
        new Coordinator(ports, (run, fleet, now) => {
          const renewed = run.hosts.map((h) => ({
            ...h,
            steps: h.steps.map((s) => (s.step === "gate" && s.endedT !== undefined ? { ...s, endedT: now } : s)),
          }));
          return decide({ ...run, hosts: renewed }, fleet, now);
        }),
    },
    caught: /answer of the gate that is/,
  },
  {
    name: "an unknown verdict is taken for success",
    variant: engineWith((records) =>
      records.map((e) => {
        if (e.type !== "step-abandoned") return e;
        const { host, step, attempt } = e;
        return { type: "step-ended", host, step, attempt, result: okResult };
      }),
    ),
    caught:
      /the log says ok, the truth is|output or requests|a reboot is reported that did not happen|a second verdict/,
  },
  {
    name: "only the first host is checked before the roll",
    variant: engineWith((records, run) =>
      records.map((e) =>
        e.type === "step-started" && e.step === "PreFlight" && e.host !== run.hosts[0]?.name
          ? { type: "host-checked", host: e.host }
          : e,
      ),
    ),
    caught: /has not passed PreFlight/,
  },
  {
    name: "the budget is ignored",
    variant: {
      coordinator: (ports) =>
        new Coordinator(ports, (run, fleet, now) => {
          const options = { ...run.spec.options, maxOut: 99 };
          const first = (cluster: string) => run.hosts.find((h) => h.cluster === cluster)?.wave ?? 1;
          const hosts = run.hosts.map((h) => ({ ...h, wave: first(h.cluster) }));
          return decide({ ...run, hosts, spec: { ...run.spec, options } }, fleet, now);
        }),
    },
    caught: /at most \d may be|goes out after wave/,
  },
  {
    name: "the waves are taken from behind",
    variant: {
      coordinator: (ports) =>
        new Coordinator(ports, (run, fleet, now) => {
          const last = Math.max(...run.hosts.map((h) => h.wave));
          return decide({ ...run, hosts: run.hosts.map((h) => ({ ...h, wave: last + 1 - h.wave })) }, fleet, now);
        }),
    },
    caught: /goes out after wave|stuck/,
  },
  {
    name: "verdicts are matched by stage only",
    variant: { coordinator: (ports) => new StageOnlyCoordinator(ports) },
    caught: /the log says|never acknowledged|its end is acknowledged|a reboot is reported|output or requests/,
  },
  {
    name: "a repeated verdict replaces the first",
    variant: {
      reduce: (run, recorded) => {
        const { event } = recorded;
        if (run === undefined || event.type !== "step-ended") return reduce(run, recorded);
        const hosts = run.hosts.map((h) => ({
          ...h,
          steps: h.steps.map((s) =>
            s.step === event.step && s.attempt === event.attempt && s.host === event.host
              ? { ...s, endedT: recorded.t, result: event.result }
              : s,
          ),
        }));
        return { ...run, hosts, lastSeq: recorded.seq };
      },
    },
    caught: /a repeated step-ended changes the state/,
  },
  {
    name: "an abort forgets the ledger",
    variant: engineWith((records, run) =>
      run.abort === undefined
        ? records
        : records.map((e) =>
            e.type === "step-started" && e.step === "restore"
              ? { type: "host-ended", host: e.host, outcome: "skipped", code: "aborted", reason: "aborted" }
              : e,
          ),
    ),
    caught: /skipped with an open ledger entry/,
  },
  {
    name: "a start that was lost is not repeated",
    variant: portsWith(sendsOnce),
    caught: /stuck/,
  },
];
