import { type GateAnswer, type GateQuestion, type Scope, scopeOf } from "@slipway/controller";
import type { Chance, HostScript, World } from "@slipway/simulator";
import { guestSentences } from "./guest-actions.ts";
import { duration, type Pool } from "./pool.ts";

/** Ports on which nothing goes wrong but what the script says. */
export class ScriptedChance implements Chance {
  /** Messages to lose or to repeat: what they must contain, and how many of them. */
  readonly messages: { contains: string; copies: number; left: number }[] = [];
  readonly agentCrashes: { host: string; when: string; what: string }[] = [];
  readonly controllerCrashes: { when: string; what: string }[] = [];
  gate: "ok" | "tight" | "deny" | "unknown" = "ok";
  /** What is denied of a recheck or a heal, and why; each is let go on by default. */
  readonly denied = new Map<string, string>();
  hintsLost = false;

  latencyMs(): number {
    return 10;
  }
  redialMs(): number {
    return 1_000;
  }
  flushDelayMs(): number {
    return 0;
  }
  restartDelay(): number {
    return 1_000;
  }
  message(what: () => string): { copies: number; delayMs: number } {
    if (this.messages.length === 0) return { copies: 1, delayMs: 0 };
    const text = what();
    const rule = this.messages.find((m) => m.left > 0 && text.includes(m.contains));
    if (rule === undefined) return { copies: 1, delayMs: 0 };
    rule.left--;
    return { copies: rule.copies, delayMs: rule.copies > 1 ? 500 : 0 };
  }
  agentGoesFirst(): boolean {
    return true;
  }
  hintLost(): boolean {
    return this.hintsLost;
  }
  agentCrash(host: string, when: string, what: string): boolean {
    return take(this.agentCrashes, (c) => c.host === host && c.when === when && what.includes(c.what)) !== undefined;
  }
  controllerCrash(when: string, what: string): boolean {
    return take(this.controllerCrashes, (c) => c.when === when && what.includes(c.what)) !== undefined;
  }
  gateFate(): { delayMs: number } {
    return { delayMs: 50 };
  }
  gateAnswer(host: string, about: GateQuestion["about"]): GateAnswer {
    if (about !== "gate") {
      const denial = this.denied.get(about);
      const rule = about === "heal" ? "not-healed" : "quorum";
      return denial === undefined
        ? { verdict: "ok", reasons: [] }
        : { verdict: "deny", reasons: [{ rule, subject: host, text: denial, fix: "" }] };
    }
    const text = {
      ok: "",
      tight: `${host}: etcd keeps its quorum, with nothing to spare`,
      deny: `${host}: etcd would lose its quorum`,
      unknown: `${host}: etcd does not answer`,
    }[this.gate];
    const reasons = text === "" ? [] : [{ rule: "quorum", subject: host, text, fix: "look at etcd" }];
    return { verdict: this.gate, reasons };
  }
}

/** Takes the first that fits out of a list. */
function take<T>(list: T[], fits: (entry: T) => boolean): T | undefined {
  const at = list.findIndex(fits);
  return at < 0 ? undefined : list.splice(at, 1)[0];
}

export interface Stage {
  readonly world: World;
  readonly chance: ScriptedChance;
  readonly pool: Pool;
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
    ({ world, pool, runs }, [, run = "r1", kind = "zones", names = "z1", forced, timeout]) => {
      const scope: Scope = { kind: kind as Scope["kind"], names: names.split(",") };
      if (!runs.includes(run)) runs.push(run);
      const options = {
        ...pool.options,
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
