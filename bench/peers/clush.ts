import { execFile, spawn } from "node:child_process";
import { accessSync, chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { mentioning, type Scratch } from "../kit/scratch.ts";

const run = promisify(execFile);
const SSHD = "/usr/sbin/sshd";
const PACKAGES = ["clustershell", "openssh-server", "openssh-client"];
const INSTALL_MS = 300_000;
const START_MS = 10_000;
const RUN_MS = 180_000;

/** Why clush cannot be measured here; empty when it can. Installs it where that starts no service. */
export async function provideClush(say: (text: string) => void): Promise<string> {
  const missing = ["/usr/bin/clush", SSHD, "/usr/bin/ssh"].filter((path) => !existsSync(path));
  if (missing.length === 0) return "";
  const want = `${missing.join(", ")} missing: apt-get install ${PACKAGES.join(" ")}`;
  if (process.getuid?.() !== 0) return `${want} (needs root)`;
  // With systemd running, the package would start a public sshd: that is for the machine's owner to decide.
  if (existsSync("/run/systemd/system")) return want;
  say(`installing ${PACKAGES.join(", ")}`);
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
    const args = ["install", "-y", "--no-install-recommends", ...PACKAGES];
    await run("apt-get", args, { env, timeout: INSTALL_MS, maxBuffer: 16 << 20 });
    return "";
  } catch (thrown) {
    return `${want} (tried: ${(thrown as Error).message.split("\n").at(-1)})`;
  }
}

/** An sshd of our own on loopback that plays all targets, under as many names, and clush to drive them. */
export class Clush {
  readonly #dir: string;
  readonly #hosts: number;
  readonly #scratch: Scratch;

  private constructor(scratch: Scratch, dir: string, hosts: number) {
    this.#scratch = scratch;
    this.#dir = dir;
    this.#hosts = hosts;
  }

  static async start(scratch: Scratch, hosts: number): Promise<Clush> {
    const dir = scratch.fresh("clush");
    const control = join(dir, "cm");
    mkdirSync(control, { mode: 0o700 });
    // The login user's own start files may take any time: that is no cost of ssh.
    const home = join(dir, "home");
    mkdirSync(home, { mode: 0o700 });
    const keygen = (name: string) => run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(dir, name)]);
    await Promise.all([keygen("host"), keygen("user")]);
    const authorized = join(dir, "authorized_keys");
    writeFileSync(authorized, readFileSync(join(dir, "user.pub")));
    chmodSync(authorized, 0o600);
    const port = await freePort();
    const server = join(dir, "sshd_config");
    writeFileSync(
      server,
      `ListenAddress 127.0.0.1:${port}
HostKey ${join(dir, "host")}
PidFile ${join(dir, "sshd.pid")}
AuthorizedKeysFile ${authorized}
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 2000
LogLevel QUIET
SetEnv HOME=${home}
`,
    );
    const client = (name: string, more: string) =>
      writeFileSync(
        join(dir, name),
        `Host h*
  HostName 127.0.0.1
  Port ${port}
  User ${userInfo().username}
  IdentityFile ${join(dir, "user")}
  IdentitiesOnly yes
  IdentityAgent none
  BatchMode yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null
  LogLevel ERROR
${more}`,
      );
    client("cold", "  ControlMaster no\n  ControlPath none\n");
    client("warm", `  ControlMaster auto\n  ControlPath ${control}/%n\n  ControlPersist 900\n`);
    if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
    scratch.spawn(SSHD, ["-D", "-f", server], { stdio: ["ignore", "ignore", "inherit"] });
    const clush = new Clush(scratch, dir, hosts);
    const deadline = Date.now() + START_MS;
    for (;;) {
      const last = await clush.#one("cold");
      if (last === "") return clush;
      if (Date.now() > deadline) throw new Error(`sshd on 127.0.0.1:${port}: ${last}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Opens the control connections that `warm` uses. */
  async open(): Promise<void> {
    await this.round("warm", 16);
    for (let i = 1; i <= this.#hosts; i++) accessSync(join(this.#dir, "cm", `h${i}`));
  }

  /** `true` on every target; milliseconds of the whole clush process. */
  async round(config: "cold" | "warm", fanout: number): Promise<number> {
    const started = performance.now();
    const args = ["-S", "-q", "-f", String(fanout), "-o", `-F ${join(this.#dir, config)}`, "-w", `h[1-${this.#hosts}]`];
    // The control connections stay behind with our pipes in their hands, so the end of the process is what counts.
    const child = spawn("clush", [...args, "true"], { stdio: ["ignore", "ignore", "ignore"], timeout: RUN_MS });
    const status = await new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", resolve);
    });
    const ms = performance.now() - started;
    if (status !== 0) throw new Error(`clush ${config}: exit status ${status}`);
    return ms;
  }

  async version(): Promise<string> {
    const { stdout } = await run("clush", ["--version"]);
    return stdout.trim();
  }

  /** Ends the sshd, its sessions and the control connections. */
  stop(): void {
    for (const pid of mentioning(this.#dir)) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended because another of them did.
      }
    }
    this.#scratch.fresh("clush");
  }

  async #one(config: string): Promise<string> {
    try {
      await run("ssh", ["-F", join(this.#dir, config), "h1", "true"], { timeout: START_MS });
      return "";
    } catch (thrown) {
      return (thrown as Error).message;
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}
