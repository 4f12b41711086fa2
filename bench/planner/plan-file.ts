// Reads a pool in Ganeti's text form, plans it and prints the groups with their moves: what hroller does, as a process of
// its own, so that both are timed from start to end.
import { readFileSync } from "node:fs";
import { argv, stdout } from "node:process";
import { type PoolHost, type PoolInstance, planRolling } from "../../packages/controller/src/planner/rolling/index.ts";
import { AWAY_MS, LINK_MIB_PER_MS } from "./clock.ts";

const [, nodes = "", rows = ""] = readFileSync(argv[2] ?? "", "utf8").split("\n\n");
const hosts: PoolHost[] = nodes.split("\n").map((line) => {
  const [name = "", memory, , , , , cpus] = line.split("|");
  return {
    name,
    memoryMiB: Number(memory),
    vcpus: Number(cpus),
    labels: {},
    durationMs: AWAY_MS,
    state: "in-scope",
  };
});
const instances: PoolInstance[] = rows.split("\n").map((line) => {
  const [name = "", memory, , vcpus, , , host = "", secondary = "", , tags = ""] = line.split("|");
  return {
    name,
    host,
    memoryMiB: Number(memory),
    vcpus: Number(vcpus),
    movability: "live",
    migrateMs: Number(memory) / LINK_MIB_PER_MS,
    ...(secondary === "" ? {} : { secondary }),
    ...(tags === "" ? {} : { antiAffinity: tags.split(",") }),
  };
});
const result = planRolling({ hosts, instances }, { mode: argv[3] === "moves" ? "moves" : "waves" });
if (!result.feasible) {
  stdout.write(`${result.reasons.map((reason) => reason.text).join("\n")}\n`);
  process.exitCode = 1;
} else {
  const lines: string[] = [];
  let next = 0;
  for (const [w, wave] of result.waves.entries()) {
    lines.push(wave.join(","));
    for (; result.moves[next]?.wave === w; next++)
      lines.push(`  ${result.moves[next]?.instance} ${result.moves[next]?.to}`);
  }
  stdout.write(`${lines.join("\n")}\n`);
}
