import { join } from "node:path";
import { buildSync } from "esbuild";
import type { Lab } from "../test/lab/lib/lab.ts";
import { obstacle } from "../test/lab/lib/prerequisites.ts";
import { CONTROLLER, labels, putFile, slipwayWords, up } from "../test/lab/lib/slipway.ts";
import { until } from "../test/lab/lib/system.ts";
import type { Bench } from "./kit/bench.ts";
import { compared, type Figure } from "./kit/figures.ts";
import { median } from "./kit/stats.ts";

// Real systemd hosts with the real packages. All of them share the machine's clock, so times of different hosts can be subtracted.

/** One host for each executor, so that they take turns without being configured anew. */
const EXECUTORS = { systemd: "hv1", direct: "hv2" } as const;
const HOOKS = "/etc/slipway/hooks.d";
const DIR = "/var/lib/slipway-bench";
const NODE = "/usr/lib/slipway/bin/node";
const BARE_UNIT = "slipway-bench-node";
/** Each stage with the line of the run's log that asks for it. PreFlight is left to give the watch of the run time to begin. */
const STAGES = {
  PreMaintenance: "inspecting => pre-maintenance",
  Maintenance: "draining => maintenance",
  PostMaintenance: "uncordoning => post-maintenance",
} as const;
const FLOORS_A_ROUND = Object.keys(STAGES).length;
const MEMORY_ROUNDS = 3;
const OUTPUT_BYTES = 100_000_000;
/** From the start of a process until its memory is looked at. */
const SETTLE_MS = 8_000;

/** Its last act is to write the time, in microseconds of the wall clock: bash knows it without another process. */
const HOOK = `#!/bin/bash
echo "\${EPOCHREALTIME/./}" > ${DIR}/last.$SLIPWAY_STAGE
`;
const PREFLIGHT = "#!/bin/sh\nexec sleep 0.5\n";
const oneshot = (command: string) => `[Service]\nType=oneshot\nExecStart=${command}\nEnvironment=SLIPWAY_STAGE=bare\n`;

/** "NAME ASKED LAST-LINE KNOWN" for each of the floors. */
const FLOORS = `
for ((i = 0; i < ${FLOORS_A_ROUND}; i++)); do
  a=\${EPOCHREALTIME/./}; systemctl start slipway-bench-true; b=\${EPOCHREALTIME/./}; echo true $a $a $b
  a=\${EPOCHREALTIME/./}; systemd-run --quiet --wait /bin/true; b=\${EPOCHREALTIME/./}; echo run $a $a $b
  a=\${EPOCHREALTIME/./}; systemctl start slipway-bench-hook; b=\${EPOCHREALTIME/./}; echo unit $a $(cat ${DIR}/last.bare) $b
  a=\${EPOCHREALTIME/./}; SLIPWAY_STAGE=bare ${DIR}/hook; b=\${EPOCHREALTIME/./}; echo spawn $a $(cat ${DIR}/last.bare) $b
done`;

interface Sample {
  /** From asking for it to knowing its end, milliseconds. */
  readonly wholeMs: number;
  /** From its last line to knowing its end, milliseconds. */
  readonly endMs: number;
}

export const systemd: Bench = {
  about: "real systemd hosts: a hook's exit until the watch shows it, both executors; the agent's memory (needs a lab)",
  rounds: 15,
  async run(_scratch, { rounds, say }) {
    const reason = obstacle();
    // No figures: there is nothing to tell but the reason.
    if (reason !== undefined) return { bench: "systemd", figures: [], notes: [`skipped: ${reason}`] };
    const lab = await up({
      name: `bench-${process.pid}`,
      hosts: { [EXECUTORS.systemd]: labels, [EXECUTORS.direct]: { ...labels, cluster: "c2" } },
      dieWithParent: true,
      packages: process.env["SLIPWAY_LAB_PACKAGES"],
      say,
    });
    try {
      await prepare(lab);
      say(`${rounds} runs with each executor`);
      const times = await measureTimes(lab, rounds);
      say(`memory, ${MEMORY_ROUNDS} times`);
      const memory = await measureMemory(lab);
      return {
        bench: "systemd",
        figures: [...times.figures, ...memory],
        notes: [
          ...times.notes,
          "known: a line of `slipway start`, printed in another host out of the controller's durable log; for a floor: the command is back",
          "the hosts' disks are in memory: what syncing a real disk takes comes on top (bench verdict has it)",
          "a hook's last line is a little before its exit: what bash needs to end is in all columns",
          `memory at rest: VmRSS ${SETTLE_MS / 1000} s after the start; peak: VmHWM, reset before a hook of the systemd executor writes ${OUTPUT_BYTES / 1e6} MB; ${MEMORY_ROUNDS} rounds; bare Node: the same binary, only grpc-js loaded`,
        ],
      };
    } finally {
      await lab.down();
    }
  },
};

async function prepare(lab: Lab): Promise<void> {
  for (const host of Object.values(EXECUTORS)) {
    for (const stage of Object.keys(STAGES)) putFile(lab, host, `${HOOKS}/${stage}`, HOOK, 0o755);
    putFile(lab, host, `${HOOKS}/PreFlight`, PREFLIGHT, 0o755);
    putFile(lab, host, `${DIR}/hook`, HOOK, 0o755);
    putFile(lab, host, "/etc/systemd/system/slipway-bench-true.service", oneshot("/bin/true"));
    putFile(lab, host, "/etc/systemd/system/slipway-bench-hook.service", oneshot(`${DIR}/hook`));
    await lab.sh(host, "systemctl daemon-reload");
  }
  await lab.sh(
    EXECUTORS.direct,
    [
      "echo rolling.maintenance.service.executor.disabled=true >> /etc/slipway/agent.properties",
      "install -D -m 644 -t /etc/systemd/system/slipway-agent.service.d /usr/share/slipway-agent/direct-executor.conf",
      "systemctl daemon-reload",
      "systemctl restart slipway-agent",
    ].join(" && "),
  );
  await connected(lab, EXECUTORS.direct);
}

/** `systemctl restart` is back when the agent has tried to connect, whatever came of it. */
function connected(lab: Lab, host: string): Promise<void> {
  return until(`${host} is connected`, async () => {
    const { stdout } = await lab.exec(CONTROLLER, slipwayWords(["--json", "host", "list"]));
    const { hosts } = JSON.parse(stdout || '{"hosts":[]}') as { hosts: { name: string; connected: boolean }[] };
    return hosts.some((one) => one.name === host && one.connected);
  });
}

/** A run of one host, each line of its log after the time of its arrival in microseconds. */
async function runOf(lab: Lab, host: string): Promise<{ at: number; text: string }[]> {
  const start = slipwayWords(["start", "--hosts", host, "--ping-interval", "1", "--timeout", "120"]).join(" ");
  const stamp = `while IFS= read -r line; do echo "\${EPOCHREALTIME/./} $line"; done`;
  const { stdout, stderr } = await lab.exec(CONTROLLER, ["bash", "-c", `${start} 2>&1 | ${stamp}`]);
  if (!stdout.includes("=> ended: succeeded")) throw new Error(`run of ${host}: ${(stdout + stderr).slice(-500)}`);
  return stdout.split("\n").map((line) => ({ at: Number.parseInt(line, 10), text: line.slice(line.indexOf(" ") + 1) }));
}

async function hookTimes(lab: Lab, host: string): Promise<Sample[]> {
  const lines = await runOf(lab, host);
  const arrival = (text: string) => lines.find((line) => line.text.includes(text))?.at ?? Number.NaN;
  const last = await lab.sh(
    host,
    `cd ${DIR} && cat ${Object.keys(STAGES)
      .map((stage) => `last.${stage}`)
      .join(" ")}`,
  );
  const ends = last.trim().split("\n").map(Number);
  return Object.entries(STAGES).map(([stage, asked], i) => {
    const known = arrival(`: ${stage} ended: ok`);
    return sample(arrival(asked), ends[i], known);
  });
}

async function floorTimes(lab: Lab, host: string): Promise<Map<string, Sample[]>> {
  const { status, stdout, stderr } = await lab.exec(host, ["bash", "-c", FLOORS]);
  if (status !== 0) throw new Error(`floors on ${host}: ${stderr.slice(-500)}`);
  const found = new Map<string, Sample[]>();
  for (const line of stdout.trim().split("\n")) {
    const [name = "", asked, last, known] = line.split(" ");
    found.set(name, [...(found.get(name) ?? []), sample(Number(asked), Number(last), Number(known))]);
  }
  return found;
}

function sample(asked: number, last: number | undefined, known: number): Sample {
  const made = { wholeMs: (known - asked) / 1_000, endMs: (known - (last ?? Number.NaN)) / 1_000 };
  // A time is missing, or an effect came before its cause: rather no figure than a wrong one.
  if (!(made.endMs > 0 && made.wholeMs > 0))
    throw new Error(`times that cannot be, in microseconds: asked ${asked}, last line ${last}, known ${known}`);
  return made;
}

type Side = keyof typeof EXECUTORS | "true" | "run" | "unit" | "spawn";

async function measureTimes(lab: Lab, rounds: number): Promise<{ figures: Figure[]; notes: string[] }> {
  const found: Record<Side, Sample[][]> = { systemd: [], direct: [], true: [], run: [], unit: [], spawn: [] };
  const sides = [
    async () => {
      const floors = await floorTimes(lab, EXECUTORS.systemd);
      for (const name of ["true", "run", "unit", "spawn"] as const) found[name].push(floors.get(name) ?? []);
    },
    async () => found.systemd.push(await hookTimes(lab, EXECUTORS.systemd)),
    async () => found.direct.push(await hookTimes(lab, EXECUTORS.direct)),
  ];
  // The first run of an agent loads and compiles what later ones find.
  for (const host of Object.values(EXECUTORS)) await runOf(lab, host);
  for (let round = 0; round < rounds; round++)
    for (let turn = 0; turn < sides.length; turn++) await sides[(round + turn) % sides.length]?.();
  const medians = (side: Side, key: keyof Sample) => found[side].map((all) => median(all.map((one) => one[key])));
  const figure = (side: keyof typeof EXECUTORS, key: keyof Sample, floor: Side, name: string) =>
    compared(
      `${side}: ${key === "endMs" ? "hook exits => known" : "stage asked for => its end known"}`,
      "ms",
      { name, values: medians(floor, key) },
      medians(side, key),
    );
  const late = [...found.systemd, ...found.direct].flat().filter((one) => one.wholeMs < one.endMs).length;
  const range = (side: Side, key: keyof Sample) => {
    const all = found[side].flat().map((one) => one[key]);
    return `${median(all).toFixed(1)} (${Math.min(...all).toFixed(1)} to ${Math.max(...all).toFixed(1)})`;
  };
  return {
    figures: [
      figure("systemd", "endMs", "unit", "systemctl start, same hook"),
      figure("direct", "endMs", "unit", "systemctl start, same hook"),
      figure("direct", "endMs", "spawn", "bare spawn, same hook"),
      figure("systemd", "wholeMs", "true", "systemctl start, /bin/true"),
      figure("systemd", "wholeMs", "run", "systemd-run --wait /bin/true"),
      figure("direct", "wholeMs", "true", "systemctl start, /bin/true"),
    ],
    notes: [
      `single samples, hook exits => known, median (lowest to highest) in ms of ${found.systemd.flat().length} each: systemd ${range("systemd", "endMs")}, direct ${range("direct", "endMs")}, systemctl start ${range("unit", "endMs")}, bare spawn ${range("spawn", "endMs")}`,
      `stage asked for => its end known: systemd ${range("systemd", "wholeMs")}, direct ${range("direct", "wholeMs")}, systemctl start ${range("true", "wholeMs")}, systemd-run --wait ${range("run", "wholeMs")}`,
      `asked for: the arrival of its line in the same watch; ${late} times it came after the hook's last line, and the sample is too short`,
    ],
  };
}

async function measureMemory(lab: Lab): Promise<Figure[]> {
  const host = EXECUTORS.systemd;
  const bundle = buildSync({
    stdin: {
      contents: 'require("@grpc/grpc-js"); setInterval(() => {}, 2 ** 30);',
      resolveDir: join(import.meta.dirname, "../packages/agent"),
    },
    bundle: true,
    platform: "node",
    format: "cjs",
    write: false,
  });
  putFile(lab, host, `${DIR}/bare.cjs`, Buffer.from(bundle.outputFiles[0]?.contents ?? []));
  // The hook's parent is its runner, the one process through which all the output goes.
  const loud = `#!/bin/bash
set -e
yes "$(printf '%099d' 7)" | head -c ${OUTPUT_BYTES}
grep VmHWM /proc/$PPID/status > ${DIR}/runner
`;
  putFile(lab, host, `${HOOKS}/Maintenance`, loud, 0o755);
  const pid = (unit: string) => `$(systemctl show -p MainPID --value ${unit})`;
  const memory = async (unit: string, field: string) =>
    kibToMib(await lab.sh(host, `grep ${field} /proc/${pid(unit)}/status`));
  const found = { bare: [] as number[], rest: [] as number[], peak: [] as number[], runner: [] as number[] };
  for (let round = 0; round < MEMORY_ROUNDS; round++) {
    await lab.sh(host, `systemd-run --quiet --unit=${BARE_UNIT} ${NODE} ${DIR}/bare.cjs`);
    await lab.sh(host, "systemctl restart slipway-agent");
    await connected(lab, host);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    found.bare.push(await memory(BARE_UNIT, "VmRSS"));
    found.rest.push(await memory("slipway-agent", "VmRSS"));
    await lab.sh(
      host,
      `systemctl stop ${BARE_UNIT} && echo 5 > /proc/${pid("slipway-agent")}/clear_refs && rm -f ${DIR}/runner`,
    );
    await runOf(lab, host);
    found.peak.push(await memory("slipway-agent", "VmHWM"));
    found.runner.push(kibToMib(await lab.sh(host, `cat ${DIR}/runner`)));
  }
  const bare = { name: "bare Node", values: found.bare };
  return [
    compared("agent at rest", "MiB", bare, found.rest),
    compared(`agent's peak, a hook writes ${OUTPUT_BYTES / 1e6} MB`, "MiB", bare, found.peak),
    compared("the hook's runner, its peak", "MiB", bare, found.runner),
  ];
}

function kibToMib(line: string): number {
  const kib = /(\d+) kB/.exec(line)?.[1];
  if (kib === undefined) throw new Error(`no memory figure in ${JSON.stringify(line)}`);
  return Number(kib) / 1024;
}
