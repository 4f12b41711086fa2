// A fleet cluster to be asked by its own commands: as much of engine, agents and systemd as the platform can see.
import { createHash } from "node:crypto";
import type { Answer } from "../../probes/answer.ts";
import type { Machinery } from "./local.ts";

interface Unit {
  text: string;
  wanted: "inactive" | "loaded" | "launched";
  /** Machine that it is scheduled to; empty: none. */
  machine: string;
}

/** One systemd's unit: `ticks` until it has stopped or started. */
interface Process {
  active: "active" | "activating" | "deactivating" | "inactive" | "failed";
  ticks: number;
}

/** Time passes by one tick with each list of units, the way a caller that waits would see it. */
export class FleetModel {
  /** By short name: "a" has the id aaaa... */
  readonly machines = new Map<string, { up: boolean; readonly processes: Map<string, Process> }>();
  readonly units = new Map<string, Unit>();
  readonly asked: string[] = [];
  /** Units that ran twice at some time. */
  readonly doubled = new Set<string>();
  /** What a command prints and how it ends instead of being done; by its words. */
  readonly instead = new Map<string, Partial<Answer>>();
  stopTicks = 2;
  fails = new Set<string>();
  /** Machine that the engine likes best; else the one with the fewest units, then the first. */
  favourite = "";

  constructor(...names: string[]) {
    for (const name of names) this.machines.set(name, { up: true, processes: new Map() });
  }

  add(unit: string, machine: string, extra = ""): void {
    this.units.set(unit, {
      text: `[Service]\nExecStart=/bin/true\n\n[X-Fleet]\n${extra}`,
      wanted: "launched",
      machine,
    });
    this.machines.get(machine)?.processes.set(unit, { active: "active", ticks: 0 });
  }

  id(name: string): string {
    return name.charCodeAt(0).toString(16).padStart(32, "0");
  }

  /** What the agent of that machine can ask. */
  on(name: string): Machinery {
    return {
      machineId: () => Promise.resolve(`${this.id(name)}\n`),
      loaded: () => Promise.resolve([...(this.machines.get(name)?.processes.keys() ?? [])]),
      run: ([program = "", ...words]) => {
        const asked = [program, ...words].join(" ");
        if (!words.includes("show") && !asked.includes("list-") && !asked.includes(" cat ")) this.asked.push(asked);
        const instead = this.instead.get(words[0] ?? "");
        const plain = { stdout: "", stderr: "", exitCode: 0, timedOut: false, problem: "" };
        const told = program === "systemctl" ? this.#systemctl(name, words.slice(3)) : this.#fleetctl(words, instead);
        return Promise.resolve({ ...plain, ...told, ...instead });
      },
    };
  }

  #systemctl(name: string, units: string[]): Partial<Answer> {
    const machine = this.machines.get(name);
    const blocks = units.map((unit) => {
      const active =
        unit === "fleet.service" ? (machine?.up ? "active" : "inactive") : machine?.processes.get(unit)?.active;
      return `Result=success\nId=${unit}\nLoadState=${active ? "loaded" : "not-found"}\nActiveState=${active ?? "inactive"}\nSubState=${subOf(active)}\n`;
    });
    return { stdout: blocks.join("\n") };
  }

  #fleetctl([verb = "", ...words]: string[], instead: Partial<Answer> | undefined): Partial<Answer> {
    const up = [...this.machines].filter(([, { up: isUp }]) => isUp);
    const place = (name: string) => (name === "" ? "-" : `${this.id(name)}/10.0.0.${name.charCodeAt(0)}`);
    switch (verb) {
      case "list-machines": {
        const rows = up.map(([name]) => `${this.id(name)}\t10.0.0.${name.charCodeAt(0)}\tname=${name}\n`);
        return { stdout: `MACHINE\tIP\tMETADATA\n${rows.join("")}` };
      }
      case "list-unit-files": {
        this.#tick();
        const rows = [...this.units].map(([unit, { machine, text, wanted }]) => {
          const state = machine === "" ? "inactive" : wanted;
          const hash = createHash("sha1").update(text).digest("hex");
          return `${unit}\t${hash}\t${wanted}\t${state}\t${place(machine)}\tfalse\n`;
        });
        return { stdout: `UNIT\tHASH\tDSTATE\tSTATE\tTARGET\tGLOBAL\n${rows.join("")}` };
      }
      case "list-units": {
        const rows = up.flatMap(([name, { processes }]) =>
          [...processes].map(([unit, { active }]) => `${unit}\t${place(name)}\t${active}\t${subOf(active)}\n`),
        );
        return { stdout: `UNIT\tMACHINE\tACTIVE\tSUB\n${rows.join("")}` };
      }
      case "cat":
        return { stdout: this.units.get(words[0] ?? "")?.text ?? "" };
      case "version":
        return { stdout: "fleetctl version 1.0.0\n" };
      default: {
        if (instead) return {};
        const unit = this.units.get(words.at(-1) ?? "");
        if (!unit) return { stderr: "Units not found in registry\n" };
        unit.wanted = verb === "start" ? "launched" : verb === "stop" ? "loaded" : "inactive";
        if (verb === "unload") unit.machine = "";
        return { stdout: `Triggered unit ${words.at(-1)} ${verb}\n` };
      }
    }
  }

  #tick(): void {
    for (const [unit, { machine, wanted }] of this.units)
      for (const [name, { processes }] of this.machines) {
        const process = processes.get(unit);
        const shall = name === machine && wanted === "launched";
        if (process === undefined) {
          if (shall) processes.set(unit, { active: this.fails.has(unit) ? "failed" : "activating", ticks: 1 });
        } else if (shall && process.active === "activating" && process.ticks-- <= 0) process.active = "active";
        else if (shall && process.active === "inactive") Object.assign(process, { active: "activating", ticks: 0 });
        else if (!shall && process.active === "active")
          Object.assign(process, { active: "deactivating", ticks: this.stopTicks });
        else if (!shall && process.active === "deactivating" && process.ticks-- <= 0) process.active = "inactive";
        else if (!shall && name !== machine && process.active === "inactive") processes.delete(unit);
      }
    // The engine heeds nothing but conflicts that a test gives it by favourites, and not what still stops.
    for (const unit of this.units.values())
      if (unit.machine === "" && unit.wanted !== "inactive") {
        const load = (name: string) => [...this.units.values()].filter((u) => u.machine === name).length;
        const able = [...this.machines].filter(([, { up }]) => up).map(([name]) => name);
        unit.machine = able.includes(this.favourite)
          ? this.favourite
          : (able.sort((a, b) => load(a) - load(b))[0] ?? "");
      }
    for (const unit of this.units.keys()) {
      const runs = [...this.machines.values()].filter(({ processes }) =>
        ["active", "activating", "deactivating"].includes(processes.get(unit)?.active ?? ""),
      );
      if (runs.length > 1) this.doubled.add(unit);
    }
  }
}

function subOf(active: string | undefined): string {
  return active === "active" ? "running" : active === "failed" ? "failed" : "dead";
}
