import type { GateAnswer, GateQuestion } from "@slipway/controller/internals";
import type { Chance } from "../world.ts";

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
