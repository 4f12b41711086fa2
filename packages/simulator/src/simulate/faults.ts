import { type StepName, steps } from "@slipway/controller/internals";
import { naturalCompare, nearest, SlipwayError, stages } from "@slipway/shared";
import type { ScriptEntry } from "../script/script.ts";
import type { LogLine } from "../world.ts";
import type { PlanFile } from "./plan-file.ts";

/** Something that goes wrong in a simulated run. */
export interface Fault {
  /** As the operator wrote it. */
  readonly text: string;
  readonly entries: readonly ScriptEntry[];
}

/** Shapes of faults, for people. */
export const faultShapes = [
  "hv2: Maintenance fails | hangs",
  "hv2: power cut @Maintenance",
  "hv2: does not return",
  "hv2: agent dies for 30s @2m",
  "hv2: network cut for 1m @drain",
  "hv3: has 64 GiB @1m",
  "vm7: moves fail | hang | take 10x",
  "vm7: down for 2m @1m",
  "new1 starts on hv3 with 4 GiB @1m",
  "controller: dies for 20s @Maintenance of hv2",
] as const;

/** What the names in a fault may be. */
interface Names {
  readonly hosts: ReadonlySet<string>;
  readonly instances: ReadonlySet<string>;
  /** Steps of each host's turn. */
  readonly stepsOf: ReadonlyMap<string, readonly string[]>;
}

type Trigger = Pick<ScriptEntry, "at" | "when">;

/** A fault's words without its subject and its time, and what they do. Undefined: these are none of its words. */
type Reading = (about: About) => Doing | undefined;
interface About {
  readonly subject: string;
  readonly kind: "host" | "instance" | "controller";
  readonly words: string;
  readonly fail: (what: string, fix: string) => never;
  readonly names: Names;
}
interface Doing {
  /** Sentences of the script. */
  readonly now: readonly string[];
  readonly later?: { readonly after: string; readonly do: readonly string[] };
  /** It holds from the beginning unless a time is given; what happens at one moment needs one. */
  readonly isLasting?: boolean;
}

/**
 * Reads one `--fault`. `startMs`: when the run starts by the world's clock. Errors: `bad-input` in one line: which fault, what of it is
 * wrong and what would be right.
 */
export function readFault(text: string, plan: PlanFile, startMs: number): Fault {
  const names = namesOf(plan);
  const fail = (what: string, fix: string): never => {
    throw new SlipwayError("bad-input", `--fault ${JSON.stringify(text)}: ${what}`, { fix });
  };
  const [, body = "", time] = /^(.*?)(?:\s*@\s*([^@]+))?$/s.exec(text.trim().replaceAll(/\s+/g, " ")) ?? [];
  const newcomer = /^(\S+) starts on (\S+)(?: with (\S+) GiB)?$/.exec(body);
  if (newcomer) {
    const [, name = "", host = "", gib = "1"] = newcomer;
    if (names.instances.has(name) || names.hosts.has(name))
      fail(`${name} is in the plan already`, "give it another name");
    known("host", host, names.hosts, fail);
    return {
      text,
      entries: [
        { ...when(time, host, true), called: text, do: `${name} of ${count(gib, fail)} GiB is started on ${host}` },
      ],
    };
  }
  const [, subject = "", words = ""] = /^(\S+): (.+)$/.exec(body) ?? [];
  if (subject === "") fail("it does not say what happens to whom", `write for example "${faultShapes[1]}"`);
  const kind = subject === "controller" ? "controller" : names.hosts.has(subject) ? "host" : "instance";
  if (kind === "instance") known("host or instance", subject, new Set([...names.hosts, ...names.instances]), fail);
  const about: About = { subject, kind, words, fail, names };
  for (const read of readings) {
    const doing = read(about);
    if (doing === undefined) continue;
    const trigger = when(time, kind === "host" ? subject : "", doing.isLasting !== true);
    const first: ScriptEntry = { ...trigger, do: doing.now, called: text };
    const { later } = doing;
    if (later === undefined) return { text, entries: [first] };
    const then = trigger.at === undefined ? { ...trigger, after: later.after } : { at: sum(trigger.at, later.after) };
    return { text, entries: [first, { ...then, do: later.do, called: `${text} (over)` }] };
  }
  const shapes = faultShapes.filter((s) => s.includes(": ") && kindOf(s) === kind).map((s) => s.replace(/^\S+: /, ""));
  return fail(
    `${JSON.stringify(words)} is nothing that can happen to ${theKind[kind]}`,
    `write one of: ${shapes.join("; ")}`,
  );

  /** `@2m` after the run's start, `@Maintenance` of the fault's own host, `@drain of hv3`. */
  function when(given: string | undefined, host: string, isNeeded: boolean): Trigger {
    if (given === undefined) {
      if (isNeeded) fail("it does not say when", `add @2m, or @Maintenance${host === "" ? " of a host" : ""}`);
      return { at: "0s" };
    }
    const duration = /^\d/.test(given) ? milliseconds(given, fail) : undefined;
    if (duration !== undefined) return { at: `${startMs + duration}ms` };
    const [, step = "", of = host] = /^(\S+)(?: of (\S+))?$/.exec(given) ?? [];
    const all = Object.keys(steps);
    if (!all.includes(step)) {
      const near = nearest(step, all);
      fail(
        `@${given}: there is no step ${JSON.stringify(step)}`,
        near ? `did you mean @${near}?` : "write @2m, or @Maintenance",
      );
    }
    if (of === "")
      fail(`@${given}: it does not say of which host`, `write @${step} of ${[...names.hosts][0] ?? "hv1"}`);
    known("host", of, names.hosts, fail);
    hasStep(of, step, names, fail);
    return { when: (line) => begins(line, of, step as StepName) };
  }
}

/** All faults of a command line; a newcomer starts once. */
export function readFaults(texts: readonly string[], plan: PlanFile, startMs: number): Fault[] {
  const faults = texts.map((text) => readFault(text, plan, startMs));
  const newcomers = texts.flatMap((text) => /^\s*(\S+) starts on /.exec(text)?.[1] ?? []);
  const twice = newcomers.find((name, i) => newcomers.indexOf(name) < i);
  if (twice !== undefined)
    throw new SlipwayError("bad-input", `--fault: ${twice} starts twice`, {
      fix: "give each new instance a name of its own",
    });
  return faults;
}

const theKind = { host: "a host", instance: "an instance", controller: "the controller" } as const;

function kindOf(shape: string): About["kind"] {
  if (shape.startsWith("controller")) return "controller";
  return shape.startsWith("vm") ? "instance" : "host";
}

function hasStep(host: string, step: string, { stepsOf }: Names, fail: About["fail"]): void {
  const own = stepsOf.get(host);
  if (own?.includes(step)) return;
  fail(
    own ? `${host} has no ${step} in this plan` : `${host} has no turn in this plan`,
    own
      ? `its steps are ${own.join(", ")}`
      : `name one of ${[...stepsOf.keys()].sort(naturalCompare).slice(0, 8).join(", ")}`,
  );
}

const readings: readonly Reading[] = [
  ({ subject, kind, words, fail, names }) => {
    const [, stage = "", how = ""] = /^(\S+) (fails|hangs)$/.exec(words) ?? [];
    if (stage === "" || kind !== "host") return undefined;
    if (!(stages as readonly string[]).includes(stage)) {
      const near = nearest(stage, stages);
      return fail(
        `there is no hook ${JSON.stringify(stage)}`,
        near ? `did you mean ${near}?` : `name one of ${stages.join(", ")}`,
      );
    }
    hasStep(subject, stage, names, fail);
    return { now: [`the ${stage} hook of ${subject} ${how}`], isLasting: true };
  },
  ({ subject, kind, words }) =>
    kind === "host" && words === "power cut" ? { now: [`power cut ${subject}`] } : undefined,
  ({ subject, kind, words, fail, names }) => {
    if (kind !== "host" || words !== "does not return") return undefined;
    if (!names.stepsOf.get(subject)?.includes("reboot"))
      fail(`${subject} is not rebooted in this plan`, `cut its power for good: "${subject}: down @Maintenance"`);
    return { now: [`${subject} never returns`], isLasting: true };
  },
  ({ subject, kind, words, fail }) => {
    const [, what = "", time] = /^(agent dies|network cut|dies|down)(?: for (.+))?$/.exec(words) ?? [];
    const forTime = time === undefined ? "" : `${milliseconds(time, fail)}ms`;
    const tail = forTime === "" ? "" : ` for ${forTime}`;
    if (kind === "controller") return what === "dies" ? { now: [`kill controller${tail}`] } : undefined;
    if (what === "down") {
      const [off, on] =
        kind === "host"
          ? [[`${subject} never returns`, `power cut ${subject}`], [`${subject} returns`]]
          : [[`${subject} shuts itself down`], [`${subject} is started again`]];
      return { now: off, ...(forTime === "" ? {} : { later: { after: forTime, do: on } }) };
    }
    if (kind !== "host") return undefined;
    if (what === "agent dies") return { now: [`kill agent ${subject}${tail}`] };
    return what === "network cut" ? { now: [`partition ${subject}${tail}`] } : undefined;
  },
  ({ subject, kind, words, fail }) => {
    const [, gib] = /^has (\S+) GiB$/.exec(words) ?? [];
    if (gib === undefined || kind !== "host") return undefined;
    return { now: [`${subject} has ${count(gib, fail)} GiB from now on`] };
  },
  ({ subject, kind, words, fail }) => {
    const [, how, times] = /^moves (?:(fail|hang)|take (\S+)x)$/.exec(words) ?? [];
    if (kind !== "instance" || (how ?? times) === undefined) return undefined;
    const what =
      how === "fail" ? "fail" : how === "hang" ? "get stuck" : `take ${count(times ?? "", fail)} times as long`;
    return { now: [`moves of ${subject} ${what}`], isLasting: true };
  },
];

function namesOf({ pool, view }: PlanFile): Names {
  const turns = view.waves.flatMap((w) => w.hosts);
  return {
    hosts: new Set(pool.hosts.map((h) => h.name)),
    instances: new Set(pool.instances.map((i) => i.name)),
    stepsOf: new Map(turns.map((h) => [h.host, h.steps])),
  };
}

function known(what: string, name: string, among: ReadonlySet<string>, fail: About["fail"]): void {
  if (among.has(name)) return;
  const near = nearest(name, among);
  const some = [...among].slice(0, 6).join(", ");
  fail(
    `no ${what} of the plan is called ${JSON.stringify(name)}`,
    near ? `did you mean ${near}?` : `there are ${some} and so on`,
  );
}

/** Does this line say that the step begins on the host? A hook that runs counts, not that it was asked for. */
function begins({ kind, subject, text }: LogLine, host: string, step: StepName): boolean {
  if ((stages as readonly string[]).includes(step))
    return kind === "hook" && subject === host && text === `${step} hook starts`;
  const { state } = steps[step];
  return (
    kind === "run" && subject === `host ${host}` && (text.endsWith(` => ${state}`) || text.includes(` => ${state} (`))
  );
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const MAX_MS = 7 * 86_400_000;

function milliseconds(text: string, fail: About["fail"]): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?) ?(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Math.round(Number(number) * (UNITS[unit] ?? Number.NaN));
  if (number === "" || !(ms >= 0 && ms <= MAX_MS))
    fail(`${JSON.stringify(text)} is no duration`, "write for example 90s, 2m or 1h");
  return ms;
}

function count(text: string, fail: About["fail"]): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) fail(`${JSON.stringify(text)} is no whole number above 0`, "write for example 4");
  return Number(text);
}

function sum(a: string, b: string): string {
  return `${Number.parseFloat(a) * (a.endsWith("ms") ? 1 : 1_000) + Number.parseFloat(b)}ms`;
}
