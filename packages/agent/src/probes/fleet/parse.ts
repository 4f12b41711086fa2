import type { SystemHealth } from "@slipway/shared";
import { type Answer, fail, whole } from "../answer.ts";
import { Findings, reading } from "../findings.ts";

/** What fleetctl printed, with its headings, `--full` and exactly these `--fields`. */
export interface FleetAnswers {
  /** list-machines: machine,ip,metadata */
  readonly machines: Answer;
  /** list-unit-files: unit,dstate,state,target */
  readonly files: Answer;
  /** list-units: unit,machine,active,sub */
  readonly units: Answer;
  /** Machines that must be there, by address or by `name=` of their metadata; empty: nobody says. */
  readonly expected: readonly string[];
}

const MACHINE = /^([0-9a-f]{32})$/;
const PLACE = /^([0-9a-f]{32})\/(\S+)$/;
const STATES = /^(?:inactive|loaded|launched)$/;

export interface FleetUnitFile {
  readonly unit: string;
  readonly wanted: string;
  readonly state: string;
  /** Id of the machine that it is scheduled to; empty when to none. */
  readonly machine: string;
}

/** Rows of a table; the headings have to be those that were asked for. */
function table(answer: Answer, what: string, headings: readonly string[]): string[][] {
  const lines = whole(answer, `fleetctl ${what}`).split("\n");
  if (lines.pop() !== "") fail(`fleetctl ${what}: the answer is cut off`);
  const [head = "", ...rows] = lines.map((line) => line.split(/\t+/));
  if (String(head) !== String(headings)) fail(`fleetctl ${what}: unknown headings ${JSON.stringify(String(head))}`);
  return rows.map((row) =>
    row.length === headings.length ? row : fail(`fleetctl ${what}: unknown line ${JSON.stringify(row.join(" "))}`),
  );
}

export function readMachines(answer: Answer): { readonly id: string; readonly ip: string; readonly name: string }[] {
  return table(answer, "list-machines", ["MACHINE", "IP", "METADATA"]).map(([machine = "", ip = "", metadata = ""]) => {
    const [, id = ""] =
      MACHINE.exec(machine) ?? fail(`fleetctl list-machines: unknown machine ${JSON.stringify(machine)}`);
    const [, name = ""] = /(?:^|,)name=([^,]*)/.exec(metadata) ?? [];
    return { id, ip, name };
  });
}

export function readUnitFiles(answer: Answer): FleetUnitFile[] {
  return table(answer, "list-unit-files", ["UNIT", "DSTATE", "STATE", "TARGET"]).map(
    ([unit = "", wanted = "", state = "", target = ""]) => {
      if (!STATES.test(wanted) || !STATES.test(state))
        fail(`fleetctl list-unit-files: ${unit} is ${JSON.stringify(wanted)}, ${JSON.stringify(state)}`);
      const [, machine = ""] =
        PLACE.exec(target) ??
        (target === "-" ? [] : fail(`fleetctl list-unit-files: unknown target ${JSON.stringify(target)}`));
      return { unit, wanted, state, machine };
    },
  );
}

/**
 * Every unit is where its desired state wants it: fleet drops a unit that fits nowhere without a word, and only the two states tell.
 * The machines are no quorum set; that is etcd's affair.
 */
export function parseFleet(answers: FleetAnswers): SystemHealth {
  return reading("fleet", () => {
    const findings = new Findings();
    const machines = readMachines(answers.machines);
    const ids = new Set(machines.map((m) => m.id));
    for (const name of answers.expected)
      if (!machines.some((m) => m.ip === name || m.name === name))
        findings.degraded(`fleet machine ${name} is missing`);
    const files = readUnitFiles(answers.files);
    const units = table(answers.units, "list-units", ["UNIT", "MACHINE", "ACTIVE", "SUB"]).map(
      ([unit = "", place = "", active = "", sub = ""]) => {
        const [, machine = ""] =
          PLACE.exec(place) ??
          (place === "-" ? [] : fail(`fleetctl list-units: unknown machine ${JSON.stringify(place)}`));
        return { unit, machine, active, sub };
      },
    );
    for (const { unit, machine } of [...units, ...files]) {
      if (!files.some((f) => f.unit === unit))
        fail(`fleet: ${unit} runs and has no unit file; the answers do not agree`);
      if (machine !== "" && !ids.has(machine))
        findings.degraded(`fleet unit ${unit} is on machine ${machine}, which is missing`);
    }
    for (const { unit, wanted, state } of files) {
      const running = units.find((u) => u.unit === unit);
      if (wanted !== state) findings.degraded(`fleet unit ${unit} shall be ${wanted} and is ${state}`);
      else if (wanted === "launched" && running === undefined)
        findings.degraded(`fleet unit ${unit} is launched and runs nowhere`);
      else if (wanted === "launched" && (running?.active !== "active" || running.sub === "dead"))
        findings.degraded(`fleet unit ${unit} is ${running?.active} (${running?.sub})`);
    }
    return findings.health("fleet");
  });
}
