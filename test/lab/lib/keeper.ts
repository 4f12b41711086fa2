import { spawn } from "node:child_process";
import { createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { LabSettings, Reply, Request } from "./protocol.ts";
import { clear, controlSocket, readEntry, writeEntry } from "./registry.ts";
import { childrenOf, messageOf, startOf } from "./system.ts";

// The process of a lab on the machine. Everything else of it lives in namespaces whose first process dies with the keeper:
//
//   keeper ─ setpriv --pdeathsig ► unshare --kill-child ► sh (PID 1 of the lab) ─ supervisor ─ nspawn ─ systemd of hv1
//                                                                                          └─ nspawn ─ systemd of hv2
//
// When PID 1 of a pid namespace dies, the kernel ends all others in it; when the last process of a mount and a network namespace is gone,
// so are their mounts and links. The keeper then removes what is left: control groups and the directory of the lab.

interface Start {
  readonly settings: LabSettings;
  /** The lab ends when the process that started it is gone, however it went. */
  readonly dieWithParent: boolean;
}

const { settings, dieWithParent } = JSON.parse(process.argv[2] ?? "{}") as Start;
const supervisor = fileURLToPath(new URL("supervisor.ts", import.meta.url));

const tell = (message: object) => {
  if (process.connected) process.send?.(message, () => {});
};

const child = spawn(
  "setpriv",
  [
    ...["--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--ipc", "--fork", "--mount-proc"],
    ...["--propagation", "private", "--kill-child=KILL"],
    // A shell as PID 1, because it reaps whatever loses its parent.
    ...["sh", "-c", '"$@" & wait $!', "sh", process.execPath, supervisor, JSON.stringify(settings)],
  ],
  { stdio: ["ignore", "inherit", "inherit", "ipc"], detached: true },
);

let server: ReturnType<typeof createServer> | undefined;
let over = false;
function finish(why: string): void {
  if (over) return;
  over = true;
  console.log(`lab ${settings.name}: ends (${why})`);
  server?.close();
  const gone = () => {
    clear(settings.name);
    tell({ failed: why });
    process.exit(0);
  };
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) gone();
  else {
    child.once("exit", gone);
    // PID 1 first: it is reaped only after every other process of its namespace, and so are the control groups free.
    const init = readEntry(settings.name)?.init ?? 0;
    if (init !== 0) process.kill(init, "SIGKILL");
    setTimeout(() => child.kill("SIGKILL"), init === 0 ? 0 : 5000);
  }
}

const waiting = new Map<number, (reply: Reply) => void>();
let next = 0;

/** Passes a request into the lab and its reply back. */
function ask(request: Omit<Request, "id">): Promise<Reply> {
  const id = ++next;
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    child.send({ ...request, id }, (error) => {
      if (error && waiting.delete(id)) resolve({ id, error: "the lab is going down" });
    });
  });
}

child.on("message", (message: Reply | { booted: true } | { failed: string }) => {
  if ("booted" in message) tell(message);
  else if ("failed" in message) finish(message.failed);
  else {
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  }
});
child.once("error", (error) => finish(error.message));
child.once("exit", (status, signal) => finish(`its supervisor ended: ${signal ?? status}`));

function serve(socket: Socket): void {
  socket.on("error", () => {});
  createInterface({ input: socket }).on("line", (line) => {
    let request: Omit<Request, "id">;
    try {
      request = JSON.parse(line) as Request;
    } catch (thrown) {
      socket.end(`${JSON.stringify({ id: 0, error: messageOf(thrown) })}\n`);
      return;
    }
    if (request.command === "down") {
      socket.end(`${JSON.stringify({ id: 0 })}\n`, () => finish("told to"));
      return;
    }
    void ask(request).then((reply) => socket.end(`${JSON.stringify(reply)}\n`));
  });
}

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => finish(signal));
process.on("disconnect", () => {
  if (dieWithParent) finish("the process that wanted it is gone");
});

server = createServer(serve);
server.on("error", (error) => finish(error.message));
server.listen(controlSocket(settings.name));

const record = () => {
  const init = child.pid === undefined ? 0 : (childrenOf(child.pid)[0] ?? 0);
  const keeperStart = startOf(process.pid) ?? "";
  writeEntry(settings.name, { keeper: process.pid, keeperStart, init, hosts: settings.hosts });
  if (init === 0) setTimeout(record, 20);
};
record();
if (readEntry(settings.name) === undefined) finish("its directory cannot be written");
