// `npm run demo`: the main job on an embedded pool. Six hosts in two clusters are rolled with real hook scripts; one host needs
// nothing, one asks for a reboot, and one agent is killed in the middle of its Maintenance hook.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { env, node, prepare, root } from "./prepare.mjs";

prepare();
const dir = mkdtempSync(join(tmpdir(), "slipway-demo-"));
const marks = join(dir, "marks");
mkdirSync(marks);
const slipway = [join(root, "packages/cli/bin/slipway.mjs")];
const pool = join(root, "examples/demo/pool.yaml");
const hooks = join(root, "examples/demo/hooks");
const say = (text) => console.log(`\n== ${text}`);

say("An embedded pool: one controller and six agents, as separate processes on loopback, mutual TLS between them.");
console.log(`   slipway dev --dir ${dir} --pool examples/demo/pool.yaml --hooks-dir examples/demo/hooks`);
const dev = spawn(node, [...slipway, "dev", "--dir", dir, "--pool", pool, "--hooks-dir", hooks], {
  env,
  stdio: ["ignore", "pipe", "inherit"],
});
let status = 1;
try {
  await ready(dev);
  const config = ["--config", join(dir, "cli.yaml")];
  say("What would happen: nothing is touched by a plan.");
  await cli([...config, "plan", "--zone", "z1"]);
  say(
    "The run. hv5's agent will be killed (SIGKILL) while its Maintenance hook runs; the hook goes on, and so does the run.",
  );
  const killer = killAgentDuringMaintenance("hv5");
  status = await cli([...config, "start", "--zone", "z1", "--payload", `marks=${marks}`]);
  await killer;
  say("What every host went through, and the run's own log.");
  await cli([...config, "report", "last", "--format", "text", "--log"]);
  say(status === 0 ? "Done. Nothing is left behind." : `The run did not succeed (exit status ${status}).`);
} catch (error) {
  console.error(`demo: ${error.message}`);
} finally {
  if (dev.exitCode === null) {
    dev.kill("SIGTERM");
    await new Promise((resolve) => dev.once("exit", resolve));
  }
  rmSync(dir, { recursive: true, force: true });
}
process.exit(status);

function ready(child) {
  return new Promise((resolve, reject) => {
    child.stdout.on("data", (chunk) => {
      process.stdout.write(chunk);
      if (/^ready/m.test(String(chunk))) resolve();
    });
    child.once("exit", (code) => reject(new Error(`slipway dev ended with ${code} before it was ready`)));
  });
}

function cli(args) {
  return new Promise((resolve) => {
    spawn(node, [...slipway, ...args], { env, stdio: "inherit" }).once("exit", (code) => resolve(code ?? 1));
  });
}

/** The Maintenance hook leaves a mark as its first act; half a second later the agent beneath it dies. */
async function killAgentDuringMaintenance(host) {
  const limit = Date.now() + 60_000;
  while (!existsSync(join(marks, host))) {
    if (Date.now() > limit) return;
    await sleep(50);
  }
  await sleep(500);
  process.kill(Number(readFileSync(join(dir, "hosts", host, "agent.pid"), "utf8")), "SIGKILL");
}
