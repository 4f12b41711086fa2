import { type RunOptions, type Scope, scopeOf } from "@slipway/controller/internals";
import type { HostScript } from "../host.ts";
import type { World } from "../world.ts";
import type { ScriptedChance } from "./chance.ts";
import { guestSentences } from "./guest-actions.ts";
import { duration } from "./words.ts";

export interface Stage {
  readonly world: World;
  readonly chance: ScriptedChance;
  /** Of every run that is started, unless a sentence says otherwise. */
  readonly options: Partial<RunOptions>;
  /** Runs that were asked for, in order. */
  readonly runs: string[];
}

export type Doing = (stage: Stage, words: RegExpExecArray) => void;

export const later = ({ world }: Stage, text: string | undefined, undo: () => void) => {
  if (text !== undefined) world.after(duration(text), undo);
};

const hostCommand: Doing = ({ world, runs }, [, kind, host = "", run = runs.at(-1) ?? ""]) =>
  world.command(run, { kind: kind as "retry" | "skip" | "mark-done", host, reason: "" });

const H = "(\\S+)";
const FOR = "(?: for (\\S+))?";

/** The language of script.yaml, one sentence an entry; what is done to instances is in `guest-actions.ts`. */
const sentences: readonly [string, Doing][] = [
  ...guestSentences,
  [
    `start(?: (r\\d+))?(?: (hosts|clusters) (\\S+))?( forced)?(?: with timeout (\\S+))?`,
    ({ world, options: usual, runs }, [, run = "r1", kind = "zones", names = "z1", forced, timeout]) => {
      const scope: Scope = { kind: kind as Scope["kind"], names: names.split(",") };
      if (!runs.includes(run)) runs.push(run);
      const options = {
        ...usual,
        ...(forced ? { forced: true } : {}),
        ...(timeout ? { timeoutMs: duration(timeout) } : {}),
      };
      world.startRun(run, scope, options, runs.length > 1 ? "bob" : "alice");
    },
  ],
  [
    `start with hosts ${H} and clusters ${H}`,
    ({ world }, [, hosts = "", clusters = ""]) =>
      world.asOperator("start", () => {
        scopeOf({ hosts: hosts.split(","), clusters: clusters.split(","), pods: [], zones: [] });
      }),
  ],
  [
    `the (\\S+) hook of ${H} (fails|hangs)`,
    ({ world }, [, stage, host = "", how]) => {
      const { hooks } = world.host(host);
      const hook = hooks[stage as keyof HostScript["hooks"]]?.[0] ?? { durationMs: 0, exit: 0 };
      hooks[stage as keyof HostScript["hooks"]] = [
        how === "fails" ? { ...hook, exit: 1 } : { ...hook, durationMs: Infinity },
      ];
    },
  ],
  [
    `the (\\S+) hook of ${H} vanishes`,
    ({ world }, [, stage, host = ""]) => {
      delete world.host(host).hooks[stage as keyof HostScript["hooks"]];
    },
  ],
  [
    `(pause|resume|approve)(?: (r\\d+))?`,
    ({ world, runs }, [, kind, run = runs.at(-1) ?? ""]) =>
      world.command(run, { kind: kind as "pause" | "resume" | "approve", reason: "" }),
  ],
  [
    `abort( now)?(?: (r\\d+))?`,
    ({ world, runs }, [, now, run = runs.at(-1) ?? ""]) =>
      world.command(run, { kind: "abort", now: now !== undefined, reason: "" }),
  ],
  [`(retry|skip|mark-done) ${H}(?: of (r\\d+))?`, hostCommand],
  [
    `look`,
    ({ world, runs }) => {
      for (const { host, reason } of world.controller.coordinator?.waits(runs.at(-1) ?? "") ?? [])
        world.note("operator", `why ${host}`, `${reason.text}${reason.fix && `; ${reason.fix}`}`);
    },
  ],
  [
    `cordon ${H}`,
    ({ world }, [, host = ""]) => world.asOperator(`cordon ${host}`, () => world.controller.cordon(host)),
  ],
  [`uncordon ${H}`, ({ world }, [, host = ""]) => world.controller.uncordon(host, "alice")],
  [`kill agent ${H}${FOR}`, ({ world }, [, host = "", time = "1s"]) => world.host(host).killAgent(duration(time))],
  [`stop agent ${H}`, ({ world }, [, host = ""]) => world.host(host).killAgent(undefined)],
  [
    `start agent ${H}`,
    ({ world }, [, host = ""]) => {
      world.host(host).agentHeldDown = false;
      world.host(host).startAgent();
    },
  ],
  [
    `kill agent ${H} (before|after) it writes (\\S+)`,
    ({ chance }, [, host = "", when = "", what = ""]) => void chance.agentCrashes.push({ host, when, what }),
  ],
  [`kill controller${FOR}`, ({ world }, [, time = "1s"]) => world.controller.kill(duration(time))],
  [
    `kill controller (before|after) it writes (\\S+)`,
    ({ chance }, [, when = "", what = ""]) => void chance.controllerCrashes.push({ when, what }),
  ],
  [`kill runner ${H}`, ({ world }, [, host = ""]) => world.host(host).executor.cutOff()],
  [`reboot ${H}`, ({ world }, [, host = ""]) => world.host(host).powerCycle(true)],
  [`power cut ${H}`, ({ world }, [, host = ""]) => world.host(host).powerCycle(false)],
  [
    `${H} never returns`,
    ({ world }, [, host = ""]) => {
      world.host(host).neverReturns = true;
    },
  ],
  [
    `${H} returns`,
    ({ world }, [, host = ""]) => {
      world.host(host).neverReturns = false;
      world.host(host).boot();
    },
  ],
  [
    `${H} loops (\\d+) times at boot`,
    ({ world }, [, host = "", times]) => {
      world.host(host).bootLoops = Number(times);
    },
  ],
  [
    `${H} refuses to reboot`,
    ({ world }, [, host = ""]) => {
      world.host(host).rebootRefused = "systemctl reboot: Operation inhibited";
    },
  ],
  [
    `partition ${H}${FOR}`,
    (stage, [, host = "", time]) => {
      stage.world.network.partition(stage.world.host(host));
      later(stage, time, () => stage.world.network.heal(stage.world.host(host)));
    },
  ],
  [`reset ${H}`, ({ world }, [, host = ""]) => world.network.reset(world.host(host))],
  [
    `disk full on controller for (\\S+)`,
    (stage, [, time]) => {
      stage.world.disk.full = true;
      later(stage, time, () => {
        stage.world.disk.full = false;
      });
    },
  ],
  [
    `disk full on ${H} for (\\S+)`,
    (stage, [, host = "", time]) => {
      stage.world.host(host).diskFull = true;
      later(stage, time, () => {
        stage.world.host(host).diskFull = false;
      });
    },
  ],
  [
    `clock of (\\S+) jumps ([+-])(\\S+)`,
    ({ world }, [, who = "", sign, time = ""]) => {
      const by = duration(time) * (sign === "-" ? -1 : 1);
      if (who === "controller") world.controller.wallSkewMs += by;
      else world.host(who).wallSkewMs += by;
    },
  ],
  [
    `gate (ok|tight|deny|unknown)${FOR}`,
    (stage, [, answer, time]) => {
      stage.chance.gate = answer as ScriptedChance["gate"];
      later(stage, time, () => {
        stage.chance.gate = "ok";
      });
    },
  ],
  [
    `(recheck|heal) denied for (\\S+): (.+)`,
    (stage, [, about = "", time, why = ""]) => {
      stage.chance.denied.set(about, why);
      later(stage, time, () => void stage.chance.denied.delete(about));
    },
  ],
  [
    `service (\\S+) of ${H} refuses to (stop|start): (.+)`,
    ({ world }, [, name = "", host = "", verb = "", why = ""]) => world.services.refuse(host, name, verb, why),
  ],
  [`service (\\S+) of ${H} is mended`, ({ world }, [, name = "", host = ""]) => world.services.mend(host, name)],
  [
    `service (\\S+) of ${H} takes (\\S+) to stop`,
    ({ world }, [, name = "", host = "", time = ""]) => {
      const before = world.services.fate;
      const slow = { takesMs: duration(time), verdict: "ok", reason: "", does: true, outlives: false } as const;
      world.services.fate = (on, spec) =>
        on === host && spec.service === name && spec.verb === "service-stop" ? slow : before(on, spec);
    },
  ],
  [
    `services start at boot`,
    ({ world }) => {
      world.services.startsAtBoot = true;
    },
  ],
  [`the (\\S+) member of ${H} dies`, ({ world }, [, system = "", host = ""]) => world.systems.die(system, host)],
  [`the (\\S+) member of ${H} is back`, ({ world }, [, system = "", host = ""]) => world.systems.revive(system, host)],
  [
    `the pool file has no services any more`,
    ({ world }) => {
      world.quorum = { ...world.quorum, services: [] };
    },
  ],
  [
    `override ${H}(?: because (.+))?`,
    ({ world, runs }, [, host = "", reason = ""]) =>
      world.command(runs.at(-1) ?? "", { kind: "override", host, reason }),
  ],
  [
    `(lose|repeat) (.+)`,
    ({ chance }, [, kind, contains = ""]) =>
      void chance.messages.push({ contains, copies: kind === "lose" ? 0 : 2, left: 1 }),
  ],
  [
    `the hints of ends get lost`,
    ({ chance }) => {
      chance.hintsLost = true;
    },
  ],
];

/** Does what one sentence says. */
export function act(stage: Stage, sentence: string): void {
  for (const [pattern, doing] of sentences) {
    const words = new RegExp(`^${pattern}$`).exec(sentence);
    if (words === null) continue;
    doing(stage, words);
    return;
  }
  throw new Error(`script: ${JSON.stringify(sentence)} is not understood`);
}
