import { mkdirSync } from "node:fs";
import { Host } from "./host.ts";
import { buildImage } from "./image.ts";
import { LAB_DIR, type LabSettings, type Reply, type Request } from "./protocol.ts";
import { LabError, messageOf, run, until } from "./system.ts";

// Runs inside the lab's own namespaces (see keeper.ts), where nothing that it makes is seen by or outlives the machine: processes, mounts,
// bridge, links. It is the hosts' power supply and their cable.

const BRIDGE = "lab0";
/** No other network is in the lab's namespace, so that every lab can have the same one. */
const address = (n: number) => `10.77.0.${10 + n}`;

const say = (line: string) => console.log(`${new Date().toISOString()} ${line}`);

function build(settings: LabSettings): Map<string, Host> {
  process.umask(0o022);
  run("mount", ["-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"]);
  mkdirSync(`${LAB_DIR}/image`, { recursive: true });
  run("mount", ["-t", "tmpfs", "-o", "mode=0755", "tmpfs", `${LAB_DIR}/image`]);
  const names = settings.hosts.map((host, i) => `${address(i)} ${host}\n`).join("");
  const { name, checkout, packages, binds, firmwareMs, diskMiB } = settings;
  const began = performance.now();
  const image = buildImage({ dir: `${LAB_DIR}/image`, checkout, packages, names });
  say(`image: ${Math.round(performance.now() - began)} ms`);
  run("ip", ["link", "set", "lo", "up"]);
  run("ip", ["link", "add", BRIDGE, "type", "bridge", "forward_delay", "0"]);
  run("ip", ["addr", "add", "10.77.0.1/24", "dev", BRIDGE]);
  run("ip", ["link", "set", BRIDGE, "up"]);
  return new Map(
    settings.hosts.map((host, i) => [
      host,
      new Host({
        ...{ lab: name, name: host, address: `${address(i)}/24`, bridge: BRIDGE, dir: `${LAB_DIR}/hosts/${host}` },
        ...{ lower: image.lower, firmwareMs, diskMiB, binds, say },
      }),
    ]),
  );
}

function pick(hosts: Map<string, Host>, name: string | undefined): Host {
  const host = hosts.get(name ?? "");
  if (host === undefined) throw new LabError(`no host ${name}; there are ${[...hosts.keys()].join(", ")}`);
  return host;
}

async function handle(hosts: Map<string, Host>, request: Request): Promise<void> {
  if (request.command === "status") return;
  const host = pick(hosts, request.host);
  if (request.command === "boot") {
    host.boot();
    await until(`${host.name} is up`, () => host.status().state === "up", 90_000);
  } else if (request.command === "reboot") await host.reboot();
  else if (request.command === "powercut") host.powercut(request.stayDown ?? false);
  else if (request.command === "isolate") host.isolate(true);
  else if (request.command === "heal") host.isolate(false);
  else throw new LabError(`${request.command}: no such command`);
}

const settings = JSON.parse(process.argv[2] ?? "{}") as LabSettings;
const send = (message: object) => process.send?.(message);
try {
  const hosts = build(settings);
  for (const host of hosts.values()) host.boot();
  process.on("message", (request: Request) => {
    void handle(hosts, request).then(
      () => send({ id: request.id, hosts: [...hosts.values()].map((host) => host.status()) } satisfies Reply),
      (thrown: unknown) => send({ id: request.id, error: messageOf(thrown) } satisfies Reply),
    );
  });
  await until("all hosts are up", () => [...hosts.values()].every((host) => host.status().state === "up"), 120_000);
  say("all hosts are up");
  send({ booted: true });
} catch (thrown) {
  send({ failed: messageOf(thrown) });
}
// The keeper is gone: so is the lab.
process.on("disconnect", () => process.exit(1));
