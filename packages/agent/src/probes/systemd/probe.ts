import type { SystemHealth } from "@slipway/shared";
import { type Answer, fail, whole } from "../answer.ts";
import { Findings, reading } from "../findings.ts";
import type { Probe } from "../probe.ts";

const PROPERTIES = ["Id", "LoadState", "ActiveState", "SubState", "Result"] as const;
export const UNIT =
  /^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]{0,250}\.(?:service|socket|target|mount|timer|path|scope|slice|swap|automount|device)$/;

export interface UnitState {
  readonly id: string;
  readonly load: string;
  readonly active: string;
  readonly sub: string;
  readonly result: string;
}

/** The unit that a name means; a name without a type is a service, as for systemctl. */
export function unitName(name: string): string {
  const unit = /\.[a-z]+$/.test(name) && UNIT.test(name) ? name : `${name}.service`;
  return UNIT.test(unit) ? unit : fail(`${JSON.stringify(name)} is no name of a unit`);
}

/** The question whose answer `readUnits` reads. */
export function showUnits(units: readonly string[]): readonly string[] {
  return ["systemctl", "show", `--property=${PROPERTIES.join(",")}`, "--", ...units];
}

/** systemctl show: a block for each unit, in the order asked; a unit that does not exist has a block as well. */
export function readUnits(answer: Answer, units: readonly string[]): UnitState[] {
  const blocks = whole(answer, "systemctl show").trim().split(/\n\n+/);
  if (blocks.length !== units.length) fail(`systemctl show: ${blocks.length} units told, ${units.length} asked`);
  return blocks.map((block, i) => {
    const values = new Map(
      block.split("\n").map((line) => {
        const [, key = "", value = ""] =
          /^([A-Za-z]+)=(.*)$/.exec(line) ?? fail(`systemctl show: unknown line ${JSON.stringify(line)}`);
        return [key, value];
      }),
    );
    const value = (key: (typeof PROPERTIES)[number]) =>
      values.get(key) ?? fail(`systemctl show: ${units[i]} has no ${key}`);
    return {
      id: value("Id"),
      load: value("LoadState"),
      active: value("ActiveState"),
      sub: value("SubState"),
      result: values.get("Result") ?? "",
    };
  });
}

export function parseUnits(answer: Answer, units: readonly string[]): SystemHealth {
  return reading("systemd", () => {
    const findings = new Findings();
    readUnits(answer, units).forEach((unit, i) => {
      const name = units[i] ?? unit.id;
      if (unit.load !== "loaded") findings.degraded(`unit ${name} is ${unit.load || "not loaded"}`);
      else if (
        !/^(?:active|inactive|failed|activating|deactivating|reloading|maintenance|refreshing)$/.test(unit.active)
      )
        fail(`systemctl show: ${name} is ${JSON.stringify(unit.active)}`);
      else if (unit.active !== "active") {
        const result = unit.result === "" || unit.result === "success" ? "" : `, ${unit.result}`;
        findings.degraded(`unit ${name} is ${unit.active} (${unit.sub}${result})`);
      }
    });
    return findings.health("systemd");
  });
}

/** Units that must be active. Settings: `units`, names with commas between. */
export const systemdProbe: Probe = {
  system: "systemd",
  async ask(context) {
    const units = context.settings.list("units").map(unitName);
    context.settings.end();
    if (units.length === 0) fail("setting units is missing");
    return parseUnits(await context.run(showUnits(units)), units);
  },
};
