import {
  Coordinator,
  decide,
  type FleetView,
  type HostInventory,
  type HostRun,
  type PoolConfig,
  type Run,
  type RunEvent,
} from "@slipway/controller";
import type { Variant } from "@slipway/simulator";
import { engineWith, journalWith, type Mutant, okResult } from "./mutants.ts";

type Started = Extract<RunEvent, { type: "action-started" }>;

/** A controller whose engine sees another fleet, or another run, than there is. */
function seeing(change: (fleet: FleetView, run: Run, now: number) => { fleet?: FleetView; run?: Run }): Variant {
  return {
    coordinator: (ports) =>
      new Coordinator(ports, (run, fleet, now) => {
        const other = change(fleet, run, now);
        return decide(other.run ?? run, other.fleet ?? fleet, now);
      }),
  };
}

const seeingPictures = (change: (picture: HostInventory, run: Run, now: number) => HostInventory): Variant =>
  seeing((fleet, run, now) => ({
    fleet: { ...fleet, inventoriesOf: (c) => fleet.inventoriesOf(c).map((p) => change(p, run, now)) },
  }));

const seeingPool = (change: (pool: PoolConfig) => PoolConfig, when = (_run: Run) => true): Variant =>
  seeing((fleet, run) => (when(run) ? { fleet: { ...fleet, pool: change(fleet.pool) } } : {}));

const overcommitted = (pool: PoolConfig): PoolConfig => ({
  ...pool,
  capacity: { ...pool.capacity, memoryOvercommit: 8 },
});

function inHand(step: string): (run: Run) => boolean {
  return (run) => run.hosts.some((h) => h.steps.at(-1)?.step === step && h.steps.at(-1)?.result === undefined);
}

/** The first look after a migration becomes a settlement that nobody has looked for. */
const unlooked = (outcome: "stayed" | "moved"): Variant =>
  engineWith((records, run) => {
    const look = records.find((e): e is Started => e.type === "action-started" && e.verb === "look");
    const { from, to } = look?.spec ?? {};
    if (look === undefined || from === undefined || to === undefined || !hasMoved(run, look)) return records;
    const { host, subject: uuid } = look;
    const { name, purpose, generation } = look.spec;
    const reason = "nobody has looked";
    return [
      {
        type: "instance-settled",
        ...{ host, uuid, name, purpose, outcome, from, to, generation, reason },
        durationMs: 0,
      },
    ];
  });

function hasMoved(run: Run, { host, subject }: Started): boolean {
  const actions = run.hosts.find((h) => h.name === host)?.actions ?? [];
  return actions.some((a) => a.subject === subject && a.verb === "move" && !a.settled);
}

/** Instances that their targets have let in and that wait for a lane. */
function waiting({ actions }: HostRun): string[] {
  const open = Map.groupBy(
    actions.filter((a) => !a.settled),
    (a) => a.subject,
  );
  return [...open].filter(([, those]) => those.every((a) => a.verb === "admit" && a.result)).map(([uuid]) => uuid);
}

function stopOf(host: HostRun, run: Run): RunEvent[] {
  const gone = new Set(host.settled.filter((s) => s.outcome === "moved").map((s) => s.uuid));
  const left = host.evacuees.find((e) => e.how === "move" && !gone.has(e.uuid));
  if (left === undefined || host.actions.some((a) => a.verb === "stop" && a.subject === left.uuid)) return [];
  const { uuid: subject, name } = left;
  const id = `${run.spec.run}:${host.name}:${subject}:1`;
  const generation = Math.max(0, ...host.actions.filter((a) => a.subject === subject).map((a) => a.spec.generation));
  return [
    { type: "ledger-opened", id, host: host.name, change: "stop", undo: "start", kind: "instance", subject, name },
    {
      type: "action-started",
      ...{ host: host.name, on: host.name, verb: "stop", subject, attempt: 1 },
      spec: { kind: "instance", name, generation, timeoutMs: 30_000, purpose: "drain", from: host.name, by: "policy" },
    },
  ];
}

/** Ways of getting an evacuation wrong. */
export const evacuationMutants: readonly Mutant[] = [
  {
    name: "a migration without a clear end is taken for one that did nothing, and neither side is asked",
    variant: unlooked("stayed"),
    caught: /the log says that .* stayed|while something is under way|has something under way/,
  },
  {
    name: "a migration without a clear end is taken for done, and neither side is asked",
    variant: unlooked("moved"),
    caught: /the log says that .* moved, and it never got/,
  },
  {
    name: "an instance is started again where it was, without a proof that it runs nowhere",
    variant: engineWith((records, run) =>
      records.flatMap((e): RunEvent[] => {
        if (e.type !== "instance-settled" || e.outcome !== "moved" || e.purpose !== "drain") return [e];
        const { host, uuid: subject, name, generation } = e;
        const id = `${run.spec.run}:${host}:${subject}:9`;
        const spec = {
          kind: "instance",
          name,
          generation: generation + 1,
          timeoutMs: 30_000,
          purpose: "restore",
        } as const;
        return [
          e,
          { type: "ledger-opened", id, host, change: "stop", undo: "start", kind: "instance", subject, name },
          { type: "action-started", host, on: host, verb: "start", subject, attempt: 1, spec },
        ];
      }),
    ),
    caught: /start of .*: it runs on/,
  },
  {
    name: "an instance that cannot move is stopped instead",
    variant: engineWith((records, run) =>
      records.flatMap((e) => {
        if (e.type !== "step-abandoned" || e.step !== "drain") return [e];
        const host = run.hosts.find((h) => h.name === e.host);
        const stop = host === undefined ? [] : stopOf(host, run);
        return stop.length > 0 ? stop : [e];
      }),
    ),
    caught: /without policy or consent/,
  },
  {
    name: "an instance is stopped before it stands in the ledger",
    variant: engineWith((records) => records.filter((e) => e.type !== "ledger-opened" || e.kind !== "instance")),
    caught: /without an open entry in the ledger|the ledger does not know of it/,
  },
  {
    name: "the ledger forgets what was stopped",
    variant: engineWith((records, run) =>
      records.flatMap((e): RunEvent[] => {
        if (e.type !== "instance-settled" || (e.outcome !== "stopped" && e.outcome !== "saved")) return [e];
        const entry = run.ledger.find((l) => l.subject === e.uuid && l.closedAt === undefined);
        return entry ? [e, { type: "ledger-closed", id: entry.id, host: entry.host, note: "done" }] : [e];
      }),
    ),
    caught: /is still stopped and not named|no entry of the ledger names it/,
  },
  {
    name: "cordons of others are not looked at when targets are chosen",
    variant: seeing((fleet) => ({
      fleet: {
        ...fleet,
        host: (name) => {
          const fact = fleet.host(name);
          return fact && { ...fact, cordonedBy: [] };
        },
      },
    })),
    caught: /shall go to .*: the host is cordoned by|cordoned twice/,
  },
  {
    name: "memory is promised more than once",
    variant: seeingPool(overcommitted, inHand("drain")),
    caught: /shall go to .* MiB are taken or promised/,
  },
  {
    name: "instances return into a host that is full",
    variant: seeingPool(overcommitted, inHand("restore")),
    caught: /shall go to .* MiB are taken or promised/,
  },
  {
    name: "there is no limit to migrations at once",
    variant: seeingPool((pool) => ({
      ...pool,
      migration: { ...pool.migration, perHost: 99, perTarget: 99, perCluster: 99 },
    })),
    caught: /migrations (leave .* at once|arrive at once .*|at once)/,
  },
  {
    name: "what waits for a lane begins without one",
    variant: seeingPool(
      (pool) => ({ ...pool, migration: { ...pool.migration, perHost: 99, perTarget: 99, perCluster: 99 } }),
      (run) => run.hosts.some((h) => waiting(h).length > 0),
    ),
    caught: /migrations (leave .* at once|arrive at once .*|at once) \(begun\)/,
  },
  {
    name: "as many targets are asked ahead as there are instances",
    variant: seeing((fleet, run) => {
      const { migration } = fleet.pool;
      const begun = run.hosts.flatMap((h) => h.actions).filter((a) => a.verb === "move" && !a.settled);
      const limits = { perHost: 99, perTarget: 99, perCluster: 99 };
      return begun.length > 0
        ? {}
        : { fleet: { ...fleet, pool: { ...fleet.pool, migration: { ...migration, ...limits } } } };
    }),
    caught: /migrations (leave .* at once|arrive at once .*|at once) \(asked for ahead\)/,
  },
  {
    name: "a waiting admission does not count against a limit",
    variant: {
      coordinator: (ports) =>
        new Coordinator(ports, (run, fleet, now) => {
          const right = decide(run, fleet, now);
          const waits = run.hosts.flatMap((h) => waiting(h)).length;
          if (right.records.length > 0 || waits === 0) return right;
          const { pool } = fleet;
          const { perHost, perTarget, perCluster } = pool.migration;
          const more = { perHost: perHost + waits, perTarget: perTarget + waits, perCluster: perCluster + waits };
          const migration = { ...pool.migration, ...more };
          const wrong = decide(run, { ...fleet, pool: { ...pool, migration } }, now);
          const asks = wrong.records.every((e) => e.type === "action-started" && e.verb === "admit");
          return asks ? wrong : right;
        }),
    },
    caught: /migrations (leave .* at once|arrive at once .*|at once) \(asked for ahead\)/,
  },
  {
    name: "an admission is not withdrawn when its drain stops",
    variant: engineWith((records, run) =>
      records.map((e): RunEvent => {
        if (e.type !== "action-started" || e.verb !== "withdraw") return e;
        const host = run.hosts.find((h) => h.name === e.host);
        const drain = host?.steps.at(-1);
        if (drain?.step !== "drain" || (run.abort === undefined && host?.directed === undefined)) return e;
        const { step, attempt } = drain;
        return { type: "step-abandoned", host: e.host, step, attempt, code: "cancelled", reason: "it was stopped" };
      }),
    ),
    caught: /it begins for a drain while|still waits for it/,
  },
  {
    name: "what was let in and is not to move any more is not withdrawn",
    variant: engineWith((records) =>
      records.map((e): RunEvent => {
        if (e.type !== "action-started" || e.verb !== "withdraw") return e;
        const { name, purpose, generation, from = "", to = "" } = e.spec;
        const rest = { outcome: "stayed", reason: "", durationMs: 0 } as const;
        return {
          type: "instance-settled",
          host: e.host,
          uuid: e.subject,
          name,
          purpose,
          from,
          to,
          generation,
          ...rest,
        };
      }),
    ),
    caught: /still waits for it/,
  },
  {
    name: "groups that are kept apart are not",
    variant: seeingPictures((picture) => ({
      ...picture,
      inventory: {
        ...picture.inventory,
        instances: picture.inventory.instances.map((i) => {
          const { apart: _, ...metadata } = i.metadata;
          return { ...i, metadata };
        }),
      },
    })),
    caught: /of the group (web|db) is there or on its way|counts as empty/,
  },
  {
    name: "a target that has failed is tried again and again",
    variant: seeing((_fleet, run) => ({
      run: {
        ...run,
        hosts: run.hosts.map((h) => ({ ...h, settled: h.settled.filter((s) => s.outcome !== "stayed") })),
      },
    })),
    caught: /could not be moved there before/,
  },
  {
    name: "a drain that failed counts as done",
    variant: engineWith((records) =>
      records.map((e) => {
        if (e.type !== "step-abandoned" || e.step !== "drain") return e;
        const { host, step, attempt } = e;
        return { type: "step-ended", host, step, attempt, result: okResult };
      }),
    ),
    caught: /counts as empty, and .* runs there/,
  },
  {
    name: "a host is drained by a picture of how it was once",
    variant: (() => {
      // What each run saw first of a host, though it pretends to have seen it just now.
      const seen = new WeakMap<object, Map<string, HostInventory>>();
      return seeingPictures((picture, run, now) => {
        const known = seen.get(run.spec) ?? new Map<string, HostInventory>();
        seen.set(run.spec, known);
        const first = known.get(picture.host) ?? picture;
        known.set(picture.host, first);
        const { cordonedBy } = picture.inventory;
        return { ...first, connected: true, readT: now, inventory: { ...first.inventory, cordonedBy } };
      });
    })(),
    caught:
      /counts as empty, and .* runs there|on hv\d: .* runs there|no entry of the ledger names it|stuck|taken or promised/,
  },
  {
    name: "an instance is moved without asking the target",
    variant: engineWith((records) =>
      records.map((e): RunEvent => {
        if (e.type !== "action-started" || e.verb !== "admit") return e;
        const { from = "", to = "" } = e.spec;
        const rest = { uri: "", address: "", storage: "", bandwidthMib: 0, downtimeMs: 0, autoConverge: false };
        const move = { to, ...rest, postCopy: false, stuckMs: 0, disks: [] };
        return { ...e, verb: "move", on: from, spec: { ...e.spec, move } };
      }),
    ),
    caught: /has not let it in/,
  },
  {
    name: "the agent does not heed generations",
    variant: { journal: journalWith(() => ({ generation: () => 0 })) },
    caught: /done under generation|: generation \d+ after/,
  },
  {
    name: "the agent does not keep its cordon mark",
    variant: { journal: journalWith(() => ({ setCordon: () => {} })) },
    caught: /keeps the mark of nobody|stuck/,
  },
  {
    name: "generations start anew with each run",
    variant: seeingPictures((picture) => ({
      ...picture,
      inventory: { ...picture.inventory, instances: picture.inventory.instances.map((i) => ({ ...i, generation: 0 })) },
    })),
    caught: /: generation \d+ after/,
  },
];
