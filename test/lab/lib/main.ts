import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { counter, createGuest, domainsOf, guestsOf } from "./guests.ts";
import { Lab } from "./lab.ts";
import { installPackages, obstacle } from "./prerequisites.ts";
import { clearDead, labDir, labs } from "./registry.ts";
import { CONTROLLER, slipwayWords, up } from "./slipway.ts";
import { LabError, messageOf } from "./system.ts";

const help = `Real systemd hosts on this machine, with Slipway's packages installed: hv1..hvN with an agent each, ${CONTROLLER} with the controller.

  npm run lab -- up --hosts 3          bring a lab up; --install: also install missing Debian packages
  npm run lab -- slipway host list     the slipway command, on ${CONTROLLER}
  npm run lab -- shell hv1 [-- CMD]    a shell, or a command, in a host
  npm run lab -- reboot hv1            systemctl reboot
  npm run lab -- powercut hv1          everything of the host is gone at once, then it boots; --stay-down: it does not
  npm run lab -- boot hv1              start a host that is off
  npm run lab -- isolate|heal hv1      pull its network cable, plug it in again
  npm run lab -- status                hosts and what they do
  npm run lab -- guests                virtual machines, where they are and how far they have counted
  npm run lab -- down                  end it; nothing is left

--name NAME chooses among several labs (default "lab"). Further options of up: --firmware-ms N, --disk-mib N, --packages DIR
(built packages instead of the sources as they are); --libvirt: the hosts are hypervisors with a shared storage, --guests N: with as many
virtual machines; --etcd, --gluster: with a cluster of each on hv1 to hv3.`;

const say = (line: string) => console.log(line);

/** Options that are followed by a value. */
const takesValue = new Set(["--name", "--hosts", "--firmware-ms", "--disk-mib", "--packages", "--guests"]);

async function main(words: readonly string[]): Promise<number> {
  // Words of a command in the lab are not ours: those after `slipway` and after `--`.
  const at = words.findIndex((word, i) => !word.startsWith("-") && !takesValue.has(words[i - 1] ?? ""));
  const dashes = words.indexOf("--");
  const command = at < 0 ? "" : (words[at] ?? "");
  const end = command === "slipway" ? at + 1 : dashes < 0 ? words.length : dashes;
  const own = words.slice(0, end);
  const foreign = words.slice(end).filter((word, i) => i > 0 || word !== "--");
  const { values, positionals } = parseArgs({
    args: [...own],
    allowPositionals: true,
    options: {
      name: { type: "string", default: "lab" },
      hosts: { type: "string", default: "3" },
      install: { type: "boolean", default: false },
      "stay-down": { type: "boolean", default: false },
      "firmware-ms": { type: "string", default: "1000" },
      "disk-mib": { type: "string", default: "512" },
      packages: { type: "string" },
      libvirt: { type: "boolean", default: false },
      guests: { type: "string", default: "0" },
      etcd: { type: "boolean", default: false },
      gluster: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const host = positionals[1] ?? "";
  if (values.help || command === "" || command === "help") {
    say(help);
    return values.help || command === "help" ? 0 : 2;
  }
  if (command === "up") return bringUp(values);
  if (command === "down" && !labs().includes(values.name)) {
    say(`lab ${values.name} is not up`);
    return 0;
  }
  const lab = Lab.find(values.name);
  if (command === "status") return status(lab);
  if (command === "guests") return guests(lab);
  if (command === "down") {
    await lab.down();
    return 0;
  }
  if (command === "slipway") return inside(lab, CONTROLLER, slipwayWords(foreign));
  if (!["shell", "reboot", "powercut", "boot", "isolate", "heal"].includes(command))
    throw new LabError(`${command}: no such command; npm run lab -- help lists them`);
  if (host === "") throw new LabError(`${command}: which host? npm run lab -- status lists them`);
  if (command === "shell") {
    return inside(lab, host, foreign.length > 0 ? foreign : ["bash", "-l"]);
  }
  if (command === "reboot") {
    const before = (await lab.host(host)).boots;
    await lab.reboot(host);
    await lab.waitForBoot(host, before + 1);
  } else if (command === "powercut") await lab.powercut(host, values["stay-down"]);
  else if (command === "boot") await lab.boots(host);
  else if (command === "isolate") await lab.isolate(host);
  else await lab.heal(host);
  return 0;
}

async function bringUp(values: {
  name: string;
  hosts: string;
  install: boolean;
  packages?: string;
  "firmware-ms": string;
  "disk-mib": string;
  libvirt: boolean;
  guests: string;
  etcd: boolean;
  gluster: boolean;
}) {
  const number = (flag: string, text: string, low: number, high: number) => {
    const n = Number(text);
    if (!/^\d+$/.test(text) || n < low || n > high)
      throw new LabError(`--${flag}: "${text}" is no number from ${low} to ${high}`);
    return n;
  };
  const hosts = number("hosts", values.hosts, 1, 50);
  const firmwareMs = number("firmware-ms", values["firmware-ms"], 0, 600_000);
  const diskMiB = number("disk-mib", values["disk-mib"], 64, 65_536);
  const count = number("guests", values.guests, 0, 200);
  const { etcd, gluster } = values;
  const libvirt = values.libvirt || count > 0;
  const features = { libvirt, etcd, gluster };
  labDir(values.name);
  if (values.install) installPackages(say, features);
  const problem = obstacle(features);
  if (problem !== undefined) throw new LabError(problem);
  const began = performance.now();
  const lab = await up({ name: values.name, hosts, firmwareMs, diskMiB, packages: values.packages, ...features, say });
  await Promise.all(
    Array.from({ length: count }, (_, i) => createGuest(lab, `hv${(i % hosts) + 1}`, `vm${i + 1}`, { disk: "shared" })),
  );
  const flag = values.name === "lab" ? "" : ` --name ${values.name}`;
  say(`ready after ${((performance.now() - began) / 1000).toFixed(1)} s; try`);
  for (const example of ["slipway host list", "slipway start --cluster c1", "shell hv1", "powercut hv1", "down"])
    say(`  npm run lab --${flag} ${example}`);
  return 0;
}

async function status(lab: Lab): Promise<number> {
  for (const { name, state, address, boots, isolated } of await lab.status())
    say(`${name.padEnd(8)} ${state.padEnd(8)} ${address.padEnd(14)} booted ${boots}x${isolated ? "  isolated" : ""}`);
  return 0;
}

async function guests(lab: Lab): Promise<number> {
  const known = new Map<string, [host: string, state: string]>();
  for (const { name, state } of await lab.status())
    if (name !== CONTROLLER && state === "up")
      for (const [guest, how] of await domainsOf(lab, name))
        if (known.get(guest)?.[1] !== "running") known.set(guest, [name, how]);
  for (const guest of guestsOf(lab)) if (!known.has(guest.name)) known.set(guest.name, ["-", "nowhere"]);
  for (const [name, [host, state]] of [...known].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))) {
    const at = counter({ lab, name });
    say(`${name.padEnd(8)} ${host.padEnd(8)} ${state.padEnd(10)} ${at === undefined ? "" : `counted to ${at.count}`}`);
  }
  return 0;
}

/** A command in a host with this terminal; its exit status. */
async function inside(lab: Lab, host: string, words: readonly string[]): Promise<number> {
  const [command = "", ...args] = await lab.enter(host, words, process.env["TERM"] ?? "dumb");
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: "inherit" });
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
    // See `attempt`.
    const goOn = setInterval(() => child.kill("SIGCONT"), 250);
    const ended = (code: number) => {
      clearInterval(goOn);
      resolve(code);
    };
    child.once("error", () => ended(1));
    child.once("exit", (code) => ended(code ?? 1));
  });
}

try {
  if (process.platform === "linux" && process.getuid?.() === 0) clearDead();
  process.exitCode = await main(process.argv.slice(2));
} catch (thrown) {
  console.error(`lab: ${messageOf(thrown)}`);
  process.exitCode = thrown instanceof LabError ? 1 : 2;
}
