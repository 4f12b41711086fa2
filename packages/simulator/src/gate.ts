import {
  type CheckAnswer,
  checkAnswer,
  checkedFrom,
  type GateAnswer,
  type GateQuestion,
  groupSystem,
  type HostInventory,
  mayGoOut,
  notHealed,
  pictureProblem,
  type System,
  seenText,
  stopsWithHost,
  systemSeen,
  systemsToHeal,
  type View,
  viewpointsOf,
} from "@slipway/controller/internals";
import type { Sight } from "./systems.ts";
import type { World } from "./world.ts";

/** What the gate makes of what was read. */
export interface GateRules {
  readonly systemSeen: typeof systemSeen;
  readonly mayGoOut: typeof mayGoOut;
  readonly notHealed: typeof notHealed;
}

/**
 * The gate: without systems it answers as the world says just then. With them it reads each from where the pool file says, every
 * reading in its own time, and concludes by the controller's own rules.
 */
export class SimGate {
  readonly #world: World;
  readonly #rules: GateRules;
  /** Host -> when the gate last truly said that it may go. */
  readonly allowedAt = new Map<string, number>();
  /** How long the reading of a system from a host takes, and what it makes of it. */
  reading: (system: string, from: string) => { readonly delayMs: number; readonly sight: Sight } = () => ({
    delayMs: 10,
    sight: "true",
  });

  constructor(world: World) {
    this.#world = world;
    this.#rules = { systemSeen, mayGoOut, notHealed, ...world.variant.gate?.(world) };
  }

  ask(question: GateQuestion, answer: (a: GateAnswer) => void): void {
    if (!this.#world.systems.isEmpty) {
      this.#read(question, answer);
      return;
    }
    const { delayMs } = this.#world.chance.gateFate();
    this.#world.after(delayMs, () => {
      const given = this.#world.chance.gateAnswer(question.host, question.about);
      const isYes = given.verdict === "ok" || given.verdict === "tight";
      if (isYes && question.about === "gate") this.allowedAt.set(question.host, this.#world.now);
      answer(given);
    });
  }

  #read({ host, out: others, about }: GateQuestion, answer: (a: GateAnswer) => void): void {
    const world = this.#world;
    const { quorum, controller } = world;
    const basis = { at: world.now, operator: new Set(world.disk.operatorCordons) };
    const going = about === "heal" ? [] : [host];
    const cordoned = [...world.hosts.keys()].filter((h) => (controller.coordinator?.cordonHolders(h).length ?? 0) > 0);
    const out = [...new Set([...cordoned, ...others])].filter((h) => h !== host);
    const hosts = controller.pictures();
    const names = new Set(hosts.map((h) => h.host));
    const systems: System[] = [];
    /** Who saw which system. */
    const viewers = new Map<string, readonly string[]>();
    let open = 1;
    const done = () => {
      if (--open > 0) return;
      const given = this.#judge(about, host, systems, out);
      if (given.verdict === "ok" || given.verdict === "tight") {
        if (about === "gate") this.allowedAt.set(host, world.now);
        world.checker.quorum.said(about, host, basis);
      }
      answer({ ...given, seen: systems.map((s) => seenText(s, viewers.get(s.name) ?? [])) });
    };
    const read = (system: string, from: string, seen: (view: View) => void) => {
      const { delayMs, sight } = this.reading(system, from);
      open++;
      world.after(delayMs, () => {
        seen({ from, health: world.systems.view(system, from, sight) });
        done();
      });
    };
    for (const probe of quorum.probes) {
      const points = viewpointsOf(probe, hosts, { going, out, fromAll: about === "heal" });
      viewers.set(probe.name, points.chosen);
      const seen: View[] = [];
      const all = () => {
        if (seen.length === points.chosen.length)
          systems.push(this.#rules.systemSeen(probe, points, seen, names, going));
      };
      for (const from of points.chosen)
        read(probe.name, from, (view) => {
          seen.push(view);
          all();
        });
      if (points.chosen.length === 0) all();
    }
    const nowT = controller.engineMs();
    const stopsWith = stopsWithHost(hosts, world.pool, controller.coordinator?.active() ?? []);
    for (const group of quorum.groups) {
      const answers = new Map<string, CheckAnswer>();
      const checked = group.members.filter((m) => m.check);
      const all = () => {
        if (answers.size < checked.length) return;
        const checkOf = (_: string, member: string) => answers.get(member);
        const isFresh = (h: HostInventory) => pictureProblem(h, nowT) === undefined;
        systems.push(groupSystem(group, { inventories: hosts, out, isFresh, stopsWith, checkOf }));
      };
      for (const { name, check } of checked) {
        const from = check && checkedFrom(check, hosts, out);
        if (from === undefined) answers.set(name, { state: "unknown", note: "no host could be asked" });
        else
          read(`${group.name}/${name}`, from, ({ health }) => {
            answers.set(name, checkAnswer(health));
            all();
          });
      }
      if (answers.size === checked.length) all();
    }
    world.after(1, done);
  }

  #judge(about: GateQuestion["about"], host: string, systems: readonly System[], out: readonly string[]): GateAnswer {
    if (about !== "heal") return this.#rules.mayGoOut(systems, { going: [host], out });
    const own = systemsToHeal(systems, this.#world.quorum.groups, host);
    const reasons = this.#rules
      .notHealed(own, host, out)
      .map((text) => ({ rule: "not-healed", subject: host, text, fix: "" }));
    return { verdict: reasons.length === 0 ? "ok" : "deny", reasons };
  }
}
