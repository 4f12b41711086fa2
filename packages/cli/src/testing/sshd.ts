import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { accessSync, chmodSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** OpenSSH's server, wherever the distribution puts it; undefined where it cannot be used. */
export const sshdProgram = ["/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd"].find((path) => {
  try {
    accessSync(path, constants.X_OK);
    execFileSync("ssh-keygen", ["-?"], { stdio: "ignore" });
    return true;
  } catch (thrown) {
    // ssh-keygen tells its usage with status 1; only when there is none has the error a code.
    return existsSync(path) && (thrown as { code?: unknown }).code === undefined && isReady();
  }
});

/** As root, sshd insists on an empty directory of the system's. */
function isReady(): boolean {
  return process.getuid?.() !== 0 || existsSync("/run/sshd");
}

export function makeKey(file: string, passphrase = ""): void {
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", file]);
}

/** SHA256:... of a key file. */
export function fingerprintOfFile(file: string): string {
  return execFileSync("ssh-keygen", ["-lf", file], { encoding: "utf8" }).split(" ")[1] ?? "";
}

/** A server on loopback that lets this user in with the keys in `authorized`, and runs programs of `bin` before all others. */
export class Sshd {
  readonly port: number;
  readonly hostKey: string;
  readonly #child: ChildProcess;

  private constructor(port: number, hostKey: string, child: ChildProcess) {
    this.port = port;
    this.hostKey = hostKey;
    this.#child = child;
  }

  static async start(
    dir: string,
    options: { authorized: string; bin: string; env: Record<string, string> },
  ): Promise<Sshd> {
    mkdirSync(dir, { recursive: true });
    const hostKey = join(dir, "host_key");
    makeKey(hostKey);
    const port = await freePort();
    // Nothing of this user's shell start-up files: they take their time, and may say something.
    const env = Object.entries({ PATH: `${options.bin}:/usr/bin:/bin`, HOME: dir, ...options.env });
    const config = [
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${hostKey}`,
      "PidFile none",
      `AuthorizedKeysFile ${options.authorized}`,
      "StrictModes no",
      "UsePAM no",
      "PermitRootLogin prohibit-password",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "PrintMotd no",
      `SetEnv ${env.map(([key, value]) => `"${key}=${value}"`).join(" ")}`,
    ];
    writeFileSync(join(dir, "sshd_config"), `${config.join("\n")}\n`);
    const child = spawn(sshdProgram ?? "", ["-D", "-e", "-f", join(dir, "sshd_config")], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let log = "";
    child.stderr?.on("data", (data) => {
      log += data;
    });
    for (let i = 0; i < 200 && !log.includes("Server listening"); i++) {
      if (child.exitCode !== null) throw new Error(`sshd did not start: ${log}`);
      await sleep(25);
    }
    return new Sshd(port, hostKey, child);
  }

  /** The line of known_hosts for this server. */
  get knownHost(): string {
    const [type, key] = readFileSync(`${this.hostKey}.pub`, "utf8").split(" ");
    return `[127.0.0.1]:${this.port} ${type} ${key}\n`;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGTERM");
    await ended;
  }
}

/**
 * Programs that stand in for those of a host. They keep their state in the directory named by STUB: `installed-*` for dpkg, `active`
 * and `enabled` for systemctl, `calls` for what was asked of them.
 */
export function writeStubs(bin: string): void {
  mkdirSync(bin, { recursive: true });
  const note = 'echo "$(basename "$0") $*" >> "$STUB/calls"';
  const stubs = {
    hostname: "echo hv7.example",
    id: 'cat "$STUB/uid" 2>/dev/null || echo 0',
    sudo: `${note}; [ -e "$STUB/no-sudo" ] && exit 1; shift 2; exec "$@"`,
    dpkg: `[ "$1" = --print-architecture ] && { cat "$STUB/arch"; exit 0; }
${note}
[ "$1" = --remove ] && exec rm -f "$STUB/installed-$2"
[ -e "$STUB/dpkg-fails" ] && { echo "dpkg: error: dpkg frontend lock is held" >&2; exit 2; }
shift 2
for deb; do
  name=$(basename "$deb" .deb); version=\${name#*_}
  [ "$(cat "$deb")" = "content of $name" ] || exit 3
  echo "\${version%_*}" > "$STUB/installed-\${name%%_*}"
done
[ -e "$STUB/root/agent.properties" ] || { mkdir -p "$STUB/root"; echo "#slipway.controllers=" > "$STUB/root/agent.properties"; }`,
    "dpkg-query": 'version=$(cat "$STUB/installed-$4" 2>/dev/null) || exit 1; printf "installed %s" "$version"',
    journalctl: 'echo "slipway-agent: slipway.token.file is not set"',
    systemctl: `case "$1" in
  is-active) cat "$STUB/active" 2>/dev/null || { echo inactive; exit 3; } ;;
  is-enabled) cat "$STUB/enabled" 2>/dev/null || { echo disabled; exit 1; } ;;
  show) cat "$STUB/active" 2>/dev/null || echo inactive ;;
  enable) ${note}; echo enabled > "$STUB/enabled" ;;
  disable) ${note}; rm -f "$STUB/enabled" "$STUB/active" ;;
  stop) ${note}; rm -f "$STUB/active" ;;
  restart) ${note}
    [ -e "$STUB/start-fails" ] && exit 1
    if [ -e "$STUB/root/token" ]; then
      mkdir -p "$STUB/root/state/tls"
      cp "$STUB/agent.pem" "$STUB/ca.pem" "$STUB/root/state/tls"
      mv "$STUB/root/token" "$STUB/used-token"
    fi
    [ -e "$STUB/root/state/tls/agent.pem" ] || exit 1
    [ -e "$STUB/skipped" ] || echo active > "$STUB/active" ;;
esac`,
  };
  for (const [name, body] of Object.entries(stubs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(bin, name), 0o755);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
