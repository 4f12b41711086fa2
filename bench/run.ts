// npm run bench                    every bench
// npm run bench -- journal detect  only these
// npm run bench -- --rounds 9 --dir /mnt/disk journal
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { detect } from "./detect.ts";
import { drain } from "./drain/bench.ts";
import { fanout } from "./fanout.ts";
import { journal } from "./journal.ts";
import type { Bench } from "./kit/bench.ts";
import { isMet, table } from "./kit/figures.ts";
import { Scratch } from "./kit/scratch.ts";
import { planner } from "./planner/bench.ts";
import { scale } from "./scale.ts";
import { systemd } from "./systemd.ts";
import { verdict } from "./verdict.ts";

const benches: Record<string, Bench> = { journal, fanout, scale, detect, verdict, systemd, planner, drain };

const usage = `npm run bench -- [--rounds N] [--dir DIR] [BENCH...]
  --rounds N  how often floor and product take turns (default: depends on the bench)
  --dir DIR   where journals and state go; the disk of DIR is the one measured (default: the temporary directory)
${Object.entries(benches)
  .map(([name, { about }]) => `  ${name.padEnd(11)} ${about}`)
  .join("\n")}
`;

interface Options {
  readonly names: readonly string[];
  readonly rounds?: number;
  readonly dir?: string;
}

function readOptions(): Options | undefined {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { rounds: { type: "string" }, dir: { type: "string" }, help: { type: "boolean" } },
  });
  if (values.help) return undefined;
  const unknown = positionals.find((name) => !(name in benches));
  if (unknown !== undefined) throw new Error(`there is no bench ${JSON.stringify(unknown)}`);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0))
    throw new Error(`--rounds: ${JSON.stringify(values.rounds)} is no count`);
  return {
    names: positionals.length > 0 ? positionals : Object.keys(benches),
    ...(rounds === undefined ? {} : { rounds }),
    ...(values.dir === undefined ? {} : { dir: values.dir }),
  };
}

async function runOne(name: string, bench: Bench, { rounds, dir }: Options): Promise<boolean> {
  const scratch = new Scratch(dir);
  const leave = (signal: NodeJS.Signals) => {
    void scratch.end().finally(() => process.exit(signal === "SIGINT" ? 130 : 143));
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, leave);
  try {
    const started = new Date();
    const say = (text: string) => process.stderr.write(`${name}: ${text}\n`);
    const result = await bench.run(scratch, { rounds: rounds ?? bench.rounds, say });
    if (result.figures.length === 0) {
      say(result.notes.join("; "));
      return true;
    }
    process.stdout.write(`\n## ${name}\n\n${table(result)}\n`);
    const machine = { cpu: cpus()[0]?.model, cores: cpus().length, memoryMiB: totalmem() >> 20, kernel: release() };
    const seconds = Math.round((Date.now() - started.getTime()) / 1000);
    const record = { ...result, at: started.toISOString(), seconds, node: process.version, machine };
    const results = join(import.meta.dirname, "results");
    mkdirSync(results, { recursive: true });
    const file = join(results, `${name}-${started.toISOString().replace(/[:.]/g, "")}.json`);
    writeFileSync(file, `${JSON.stringify(record, undefined, 2)}\n`);
    return result.figures.every((figure) => isMet(figure) !== false);
  } finally {
    await scratch.end();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, leave);
  }
}

try {
  const options = readOptions();
  if (options === undefined) process.stdout.write(usage);
  else
    for (const name of options.names) {
      const bench = benches[name];
      // A missed aim is a finding, not a failure of the bench: the exit status stays 0.
      if (bench) await runOne(name, bench, options);
    }
} catch (thrown) {
  process.stderr.write(`bench: ${(thrown as Error).message}\n`);
  process.exitCode = 1;
}
