import type { SystemHealth } from "@slipway/shared";
import { z } from "zod";
import { type Answer, fail, oneLine, said } from "../answer.ts";
import { Findings, member, quorumSet, reading } from "../findings.ts";
import { count, readJson } from "../json.ts";
import type { Probe } from "../probe.ts";

const line = z
  .string()
  .max(500)
  .transform((text) => oneLine(text));
const report = z.strictObject({
  state: z.enum(["healthy", "degraded", "unknown"]).optional(),
  reasons: z.array(line).default([]),
  identity: line.default(""),
  version: line.default(""),
  sets: z
    .array(
      z.strictObject({
        name: line,
        needed: count,
        members: z.array(
          z.strictObject({
            name: line,
            host: line,
            votes: count.default(1),
            state: z.enum(["up", "down", "unknown"]),
            roles: z.array(line).default([]),
            note: line.default(""),
          }),
        ),
        oneOf: z.array(line).default([]),
        repairing: line.default(""),
      }),
    )
    .default([]),
  goingVerdict: z.enum(["", "ok", "deny", "unknown"]).default(""),
  goingReasons: z.array(line).default([]),
});

/**
 * What a site's own script says: exit 0 healthy, 1 degraded, anything else unknown. Standard output that begins with "{" is a report in
 * JSON, which can only make it worse; any other text is the reason.
 */
export function parseCommand(name: string, answer: Answer): SystemHealth {
  return reading("command", () => {
    const findings = new Findings();
    const { exitCode, timedOut, problem, stdout } = answer;
    if (timedOut) fail(`${name}: no answer in time`);
    if (problem !== "") fail(`${name}: ${problem}`);
    const isReport = stdout.trimStart().startsWith("{");
    const found = isReport ? readJson(stdout, name, report) : undefined;
    const text = isReport ? "" : said({ ...answer, stderr: stdout.trim() === "" ? answer.stderr : stdout });
    const reasons =
      found && found.reasons.length > 0 ? found.reasons : [text || `${name}: ended with ${exitCode ?? "a signal"}`];
    const isWell = exitCode === 0 && (found?.state ?? "healthy") === "healthy";
    const isDegraded = (exitCode === 0 || exitCode === 1) && found?.state !== "unknown";
    if (!isWell) for (const reason of reasons) isDegraded ? findings.degraded(reason) : findings.unknown(reason);
    if (found === undefined) return findings.health("command");
    const { identity, version, goingVerdict, goingReasons } = found;
    const sets = found.sets.map((set) => {
      const names = set.members.map((m) => m.name);
      if (new Set(names).size !== names.length) fail(`${name}: set ${set.name} has a member twice`);
      for (const one of set.oneOf)
        if (!names.includes(one)) fail(`${name}: oneOf of set ${set.name} names ${one}, no member of it`);
      const members = set.members.map(({ name: own, host, ...rest }) => member(own, host, rest));
      return quorumSet(set.name, set.needed, members, { oneOf: set.oneOf, repairing: set.repairing });
    });
    return findings.health("command", { identity, version, sets, goingVerdict, goingReasons });
  });
}

/**
 * A script of the site, found by its name. Settings: `name`, the file; every other one is handed to it as SLIPWAY_SETTING_NAME.
 */
export function commandProbe(find: (name: string) => string): Probe {
  return {
    system: "command",
    async ask(context) {
      const name = context.settings.text("name");
      const file = find(name);
      const env: Record<string, string> = { SLIPWAY_HOST: context.host, SLIPWAY_GOING: context.going.join(" ") };
      for (const key of context.settings.others())
        env[`SLIPWAY_SETTING_${key.toUpperCase().replace(/[^A-Z0-9]/g, "_")}`] = context.settings.text(key);
      return parseCommand(name, await context.run([file], { env }));
    },
  };
}
