import type { SystemHealth } from "@slipway/shared";
import { readMachines, readUnitFiles, readUnitStates, type UnitFile } from "../../platform/fleet/tables.ts";
import { mayRunOn, readRequirements } from "../../platform/fleet/unit-file.ts";
import { type Answer, fail } from "../answer.ts";
import { Findings, reading } from "../findings.ts";

/** What fleetctl printed to the questions of `listings`. */
export interface FleetAnswers {
  readonly machines: Answer;
  readonly files: Answer;
  readonly states: Answer;
  /** `fleetctl cat` of each of `globalUnits`. */
  readonly texts: ReadonlyMap<string, Answer>;
  /** Machines that must be there, by address or by `name=` of their metadata; empty: nobody says. */
  readonly expected: readonly string[];
}

/** Units that shall run on every machine that their files allow: fleet lists no target for them, and no state. */
export function globalUnits(files: readonly UnitFile[]): UnitFile[] {
  return files.filter((file) => file.global && file.wanted === "launched");
}

/**
 * Every unit is where its desired state wants it: fleet drops a unit that fits nowhere without a word, and only the two states tell.
 * The machines are no quorum set; that is etcd's affair.
 */
export function parseFleet(answers: FleetAnswers): SystemHealth {
  return reading("fleet", () => {
    const findings = new Findings();
    const machines = readMachines(answers.machines);
    const names = new Map(machines.map((m) => [m.id, m.metadata["name"] ?? m.ip]));
    for (const name of answers.expected)
      if (!machines.some((m) => m.ip === name || m.metadata["name"] === name))
        findings.degraded(`fleet machine ${name} is missing`);
    const files = readUnitFiles(answers.files);
    const states = readUnitStates(answers.states);
    for (const { unit, machine } of [...states, ...files]) {
      if (!files.some((f) => f.unit === unit))
        fail(`fleet: ${unit} runs and has no unit file; the answers do not agree`);
      if (machine !== "" && !names.has(machine))
        findings.degraded(`fleet unit ${unit} is on machine ${machine}, which is missing`);
    }
    for (const { unit, wanted, state } of files.filter((file) => !file.global)) {
      const running = states.find((s) => s.unit === unit);
      if (wanted !== state) findings.degraded(`fleet unit ${unit} shall be ${wanted} and is ${state}`);
      else if (wanted === "launched" && running === undefined)
        findings.degraded(`fleet unit ${unit} is launched and runs nowhere`);
      else if (wanted === "launched" && (running?.active !== "active" || running.sub === "dead"))
        findings.degraded(`fleet unit ${unit} is ${running?.active} (${running?.sub})`);
    }
    for (const { unit, hash } of globalUnits(files)) {
      const text = answers.texts.get(unit) ?? fail(`fleet: nobody asked for the file of ${unit}`);
      const requirements = readRequirements(text, unit, hash);
      for (const machine of machines.filter((m) => mayRunOn(requirements, m))) {
        const running = states.find((s) => s.unit === unit && s.machine === machine.id);
        const name = names.get(machine.id);
        if (running === undefined) findings.degraded(`fleet unit ${unit} is global and does not run on ${name}`);
        else if (running.active !== "active" || running.sub === "dead")
          findings.degraded(`fleet unit ${unit} is ${running.active} (${running.sub}) on ${name}`);
      }
    }
    return findings.health("fleet");
  });
}
