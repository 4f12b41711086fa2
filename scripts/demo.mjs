// `npm run demo`: the main job on an embedded pool. Six hosts in two clusters are rolled with real hook scripts, and their simulated
// instances are moved out of the way; one host needs nothing, one asks for a reboot, one agent is killed in the middle of its
// Maintenance hook, and one instance may only be stopped because the operator agrees.
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
  say("The instances, and what a drain does with each.");
  await cli([...config, "instance", "list"]);
  say("One cannot move. A plan names it, why, and the way out; nothing is touched.");
  await cli([...config, "instance", "show", "legacy-1"]);
  say("What would happen with the operator's consent to stop that one.");
  const scope = ["--zone", "z1", "--consent-stop", "legacy-1"];
  await cli([...config, "plan", ...scope]);
  say(
    "The run. hv5's agent will be killed (SIGKILL) while its Maintenance hook runs; the hook goes on, and so does the run.",
  );
  const killer = killAgentDuringMaintenance("hv5");
  status = await cli([...config, "start", ...scope, "--payload", `marks=${marks}`]);
  await killer;
  say("What every host went through, and the run's own log.");
  await cli([...config, "report", "last", "--format", "text", "--log"]);
  say("Where the instances are now: all of them run.");
  await cli([...config, "instance", "list"]);
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
