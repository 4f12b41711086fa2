import { Coordinator, decide, type FleetView, noQuorum, type Run, type RunEvent } from "@slipway/controller";
import type { Variant, World } from "@slipway/simulator";
import { GateLock } from "../../packages/controller/src/coordinator/gate-lock.ts";
import { mayGoOut, notHealed, type System } from "../../packages/controller/src/quorum/index.ts";
import { systemSeen } from "../../packages/controller/src/quorum/reading.ts";
import { engineWith, type Mutant } from "./mutants.ts";

type Question = Parameters<typeof mayGoOut>[1];
type Member = System["sets"][number]["members"][number];

/** A controller whose engine sees another fleet, or another run, than there is. */
function seeing(change: (run: Run, fleet: FleetView, now: number) => { run?: Run; fleet?: FleetView }): Variant {
  return {
    coordinator: (ports) =>
      new Coordinator(ports, (run, fleet, now) => {
        const other = change(run, fleet, now);
        return decide(other.run ?? run, other.fleet ?? fleet, now);
      }),
  };
}

/** A gate that concludes out of other systems than were read, or to another question than was put. */
const judging = (
  change: (systems: System[], question: Question, world: World) => [readonly System[], Question],
): Variant => ({
  gate: (world) => ({ mayGoOut: (systems, question) => mayGoOut(...change([...systems], question, world)) }),
});

const withMembers = (systems: readonly System[], change: (m: Member) => Member): System[] =>
  systems.map((s) => ({ ...s, sets: s.sets.map((set) => ({ ...set, members: set.members.map(change) })) }));

/** Steps after which the engine believes that there are no systems to ask. */
const unwatchedAfter = (...names: string[]): Variant =>
  seeing((run, fleet) => {
    const isThere = run.hosts.some((h) => names.includes(h.steps.at(-1)?.step ?? ""));
    const quorum = { ...(fleet.quorum ?? noQuorum), probes: [], groups: [] };
    return isThere ? { fleet: { ...fleet, quorum } } : {};
  });

/** Hosts of `others` count as in service, and what they carry as up. */
function blindTo(systems: readonly System[], { going, out }: Question, others: (host: string) => boolean) {
  const away = out.filter(others);
  const seen = withMembers(systems, (m) => (m.host !== undefined && away.includes(m.host) ? { ...m, state: "up" } : m));
  const left = out.filter((host) => !others(host));
  return [seen.map(stateOf), { going, out: left }] as [System[], Question];
}

function stateOf(system: System): System {
  const members = system.sets.flatMap((s) => s.members);
  return members.length > 0 && members.every((m) => m.state === "up") ? { ...system, state: "healthy" } : system;
}

/** Everybody may ask at once, and who went meanwhile is not counted. */
class NoLock extends GateLock {
  override enter(): boolean {
    return true;
  }
}

/** Ways of getting quorums and services wrong. */
export const quorumMutants: readonly Mutant[] = [
  {
    name: "a host that is empty is not asked about again",
    variant: unwatchedAfter("drain"),
    caught: /and no recheck has agreed/,
  },
  {
    name: "nobody asks whether a host that is back has healed",
    variant: unwatchedAfter("services-start", "Maintenance", "reboot"),
    caught: /nobody has asked whether it has healed/,
  },
  {
    name: "a host has healed as soon as its members are up",
    variant: {
      gate: () => ({
        notHealed: (systems, host, out) => notHealed(systems.map(stateOf), host, out),
      }),
    },
    caught: /has not healed there/,
  },
  {
    name: "what cannot be read counts as well",
    variant: judging((systems, question) => [
      withMembers(systems, (m) => (m.state === "unknown" ? { ...m, state: "up" } : m)).map((s) =>
        s.state === "unknown" ? { ...s, state: "healthy" } : s,
      ),
      question,
    ]),
    caught: /keeps \d+ of \d+ needed members|is not whole/,
  },
  {
    name: "one of two views that contradict each other is believed",
    variant: {
      gate: () => ({
        systemSeen: (probe, { chosen }, seen, names, going) =>
          systemSeen(
            { ...probe, views: 1 },
            { chosen: chosen.slice(0, 1), missing: [] },
            seen.slice(0, 1),
            names,
            going,
          ),
      }),
    },
    caught: /keeps \d+ of \d+ needed members|is not whole/,
  },
  {
    name: "hosts that are out already are not counted",
    variant: judging((systems, question) => blindTo(systems, question, () => true)),
    caught: /keeps \d+ of \d+ needed members/,
  },
  {
    name: "hosts of other clusters are not counted",
    variant: judging((systems, question, world) => {
      const own = new Set(question.going.map((h) => world.host(h).cluster));
      return blindTo(systems, question, (host) => !own.has(world.host(host).cluster));
    }),
    caught: /keeps \d+ of \d+ needed members/,
  },
  {
    name: "hosts of different clusters are asked about at the same time",
    variant: {
      coordinator: (ports) => {
        const lock = new NoLock();
        Object.defineProperty(lock, "cordons", { get: () => 0, set: () => {} });
        return new Coordinator(ports, decide, lock);
      },
    },
    caught: /keeps \d+ of \d+ needed members|is not whole/,
  },
  {
    name: "repairs do not keep a host in",
    variant: judging((systems, question) => [
      systems.map((s) => stateOf({ ...s, sets: s.sets.map((set) => ({ ...set, repairing: "" })) })),
      question,
    ]),
    caught: /keeps \d+ of \d+ needed members \(.* missing\)|is not whole/,
  },
  {
    name: "the groups of the pool file are not looked at",
    variant: judging((systems, question) => [systems.filter((s) => !s.name.startsWith("group ")), question]),
    caught: /keeps \d+ of \d+ needed members|is not whole/,
  },
  {
    name: "services go on stopping on a yes that has grown old",
    variant: seeing((run, _fleet, now) => ({
      run: {
        ...run,
        hosts: run.hosts.map((h) => ({
          ...h,
          steps: h.steps.map((s) => (s.step === "recheck" && s.result?.verdict === "ok" ? { ...s, endedT: now } : s)),
        })),
      },
    })),
    caught: /on a recheck that is \d+ ms old/,
  },
  {
    name: "services stop in the opposite order",
    variant: engineWith((records, run) =>
      records.map((e) => {
        if (e.type !== "services-planned" || stepOf(run, e.host) !== "services-stop") return e;
        return { ...e, services: e.services.toReversed() };
      }),
    ),
    caught: /stops on hv\d before/,
  },
  {
    name: "services start in the order of their stops",
    variant: engineWith((records, run) =>
      records.map((e) => {
        if (e.type !== "services-planned" || stepOf(run, e.host) !== "services-start") return e;
        return { ...e, services: e.services.toReversed() };
      }),
    ),
    caught: /starts on hv\d before/,
  },
  {
    name: "a service stops before it stands in the ledger",
    variant: engineWith((records) => records.filter((e) => e.type !== "ledger-opened" || e.kind !== "service")),
    caught: /without an open entry in the ledger/,
  },
  {
    name: "an abort leaves services stopped",
    variant: seeing((run) => (run.abort ? { run: withoutServices(run) } : {})),
    caught: /is uncordoned while|is stopped on hv\d and nothing names it|gluster:1 is open at the end/,
  },
  {
    name: "a service counts as stopped although nobody knows",
    variant: engineWith((records, run) =>
      records.map((e): RunEvent => {
        if (e.type !== "service-action-started" || e.verb !== "service-check") return e;
        if (stepOf(run, e.host) !== "services-stop") return e;
        const { host, subject } = e;
        return { type: "service-settled", host, subject, name: subject, outcome: "stopped", reason: "", durationMs: 0 };
      }),
    ),
    caught: /begins while .* runs|stops on hv\d before/,
  },
  {
    name: "an override outlives its host",
    variant: engineWith((records, run) => {
      const over = run.hosts.some((h) => h.notes.some((n) => n.rule === "overridden"));
      const next = over && run.hosts.find((h) => questions.has(stepOf(run, h.name)) && h.gateReasons.length > 0);
      const step = next ? next.steps.at(-1) : undefined;
      if (!next || step === undefined || step.result || records.length > 0) return records;
      const { host, attempt } = step;
      return [{ type: "step-overridden", host, step: step.step, attempt, who: "bob", reason: "as before" }];
    }),
    caught: /is overridden and no operator has said so/,
  },
];

const questions: ReadonlySet<string> = new Set(["gate", "recheck", "heal"]);

function stepOf(run: Run, host: string): string {
  const last = run.hosts.find((h) => h.name === host)?.steps.at(-1);
  return last?.result === undefined && last?.abandoned === undefined ? (last?.step ?? "") : "";
}

function withoutServices(run: Run): Run {
  return { ...run, ledger: run.ledger.filter((l) => l.kind !== "service") };
}
