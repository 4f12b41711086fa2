import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { SlipwayError } from "@slipway/shared";
import { identityOf } from "@slipway/shared/tls";
import { clean } from "../render/text.ts";
import type { Output, SshConnection } from "./connection.ts";
import type { Deb } from "./debs.ts";
import { readProperties } from "./properties.ts";
import { targetText } from "./target.ts";

/** Where things are on a host. */
export interface Places {
  readonly properties: string;
  readonly token: string;
  /** Unless agent.properties says otherwise. */
  readonly stateDir: string;
}

export const places: Places = {
  properties: "/etc/slipway/agent.properties",
  token: "/etc/slipway/token",
  stateDir: "/var/lib/slipway-agent",
};

export interface MachineFacts {
  readonly arch: string;
  /** The machine's own name up to the first dot. */
  readonly name: string;
  /** Installed versions; empty when not installed. */
  readonly agentVersion: string;
  readonly runtimeVersion: string;
  readonly isActive: boolean;
  readonly isEnabled: boolean;
  /** Text of agent.properties; empty when there is none. */
  readonly properties: string;
  readonly certificate: { readonly host: string; readonly authority: string; readonly isExpired: boolean } | undefined;
}

const UNIT = "slipway-agent.service";
const INSTALL_MS = 600_000;
/** systemd itself gives the service 90 s. */
const SERVICE_MS = 120_000;
/** Cap on what is quoted of the service's log, in characters. */
const MAX_LOG = 800;

/** Comes before what a script prints, since a login shell may have printed something already. */
const BEGIN = "slipway-begin";

/**
 * What is asked of the machine, and done to it: fixed scripts of a POSIX shell, whose arguments and input are data. They do no more
 * than dpkg and systemctl would at a keyboard.
 */
const scripts = {
  facts: `echo ${BEGIN}; echo "uid=$(id -u)"; echo "arch=$(dpkg --print-architecture 2>/dev/null)"; echo "name=$(hostname)"; echo "agent=$(dpkg-query -W -f '\${db:Status-Status} \${Version}' slipway-agent 2>/dev/null)"; echo "runtime=$(dpkg-query -W -f '\${db:Status-Status} \${Version}' slipway-runtime 2>/dev/null)"; echo "active=$(systemctl is-active ${UNIT} 2>/dev/null)"; echo "enabled=$(systemctl is-enabled ${UNIT} 2>/dev/null)"`,
  isRoot: "true",
  read: `echo ${BEGIN}; if [ -e "$1" ]; then cat -- "$1"; fi`,
  // A connection that breaks looks like the end of the input: what is too short never gets the name.
  write: `set -eu; umask 077; mkdir -p -m 755 -- "$(dirname -- "$1")"; cat > "$1.new"; [ "$(wc -c < "$1.new")" -eq "$3" ] || { echo "the input was cut off" >&2; exit 1; }; chmod "$2" -- "$1.new"; mv -f -- "$1.new" "$1"`,
  makeTemporary: `set -eu; umask 077; dir=$(mktemp -d /tmp/slipway-XXXXXXXX); echo ${BEGIN}; echo "$dir"`,
  upload: `set -eu; umask 077; cat > "$1"; [ "$(wc -c < "$1")" -eq "$2" ] || { echo "the input was cut off" >&2; exit 1; }`,
  drop: `rm -rf -- "$@"`,
  // A configuration file that is there is kept; nobody is there to be asked.
  install: `DEBIAN_FRONTEND=noninteractive exec dpkg --force-confold -i "$@" </dev/null`,
  start: `set -eu; systemctl enable --quiet ${UNIT}; systemctl restart ${UNIT}`,
  stop: `systemctl stop ${UNIT}`,
  disable: `systemctl disable --now --quiet ${UNIT}`,
  state: `echo ${BEGIN}; systemctl show ${UNIT} -p ActiveState --value`,
  lastLines: `echo ${BEGIN}; journalctl -u ${UNIT} -n 3 -o cat --no-pager`,
  uninstall: "DEBIAN_FRONTEND=noninteractive exec dpkg --remove slipway-agent </dev/null",
} as const;

/** A machine that is, becomes or was a host, through a login on it. */
export class Machine {
  readonly #ssh: SshConnection;
  readonly #places: Places;
  #sudo = false;

  constructor(ssh: SshConnection, where: Places) {
    this.#ssh = ssh;
    this.#places = where;
  }

  /** Looks at the machine. Errors: `refused` without the rights of root, or when it is no Debian. */
  async inspect(): Promise<MachineFacts> {
    const found = new Map(
      after(await this.#run("facts", [], { sudo: false }))
        .split("\n")
        .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1).trim()] as const),
    );
    const value = (key: string) => clean(found.get(key) ?? "");
    const subject = targetText(this.#ssh.target);
    if (value("arch") === "")
      throw new SlipwayError("refused", `${subject}: there is no dpkg`, {
        fix: "install the agent from its sources there; host add is for Debian and its relatives",
      });
    this.#sudo = value("uid") !== "0";
    if (this.#sudo && (await this.#ssh.run(scripts.isRoot, [], { sudo: true })).status !== 0)
      throw new SlipwayError("refused", `${subject}: user ${this.#ssh.target.user} may not act as root`, {
        fix: "log in as root, or let that user use sudo without a password",
      });
    const properties = await this.read(this.#places.properties);
    const version = (key: string) => /^installed (\S+)$/.exec(value(key))?.[1] ?? "";
    const { certificate, ca } = this.tlsFiles(properties);
    return {
      arch: value("arch"),
      name: value("name").split(".")[0] ?? "",
      agentVersion: version("agent"),
      runtimeVersion: version("runtime"),
      isActive: value("active") === "active",
      isEnabled: value("enabled") === "enabled",
      properties,
      certificate: certificateOf(await this.read(certificate), await this.read(ca)),
    };
  }

  /** Paths of the agent's certificate, key and authority, by its properties. */
  tlsFiles(properties: string): { certificate: string; key: string; ca: string } {
    const settings = readProperties(properties);
    const tls = `${settings.get("slipway.state.dir") || this.#places.stateDir}/tls`;
    const path = (key: string, name: string) => settings.get(`slipway.tls.${key}`) || `${tls}/${name}`;
    return {
      certificate: path("certificate", "agent.pem"),
      key: path("key", "agent.key"),
      ca: path("ca", "ca.pem"),
    };
  }

  /** Content of a file; empty when there is none. */
  async read(path: string): Promise<string> {
    return after(await this.#run("read", [path]));
  }

  readProperties(): Promise<string> {
    return this.read(this.#places.properties);
  }

  async writeProperties(text: string): Promise<void> {
    await this.#write(this.#places.properties, text, "644");
  }

  async writeToken(token: string): Promise<void> {
    await this.#write(this.#places.token, `${token}\n`, "600");
  }

  get tokenFile(): string {
    return this.#places.token;
  }

  /** Copies packages to the machine and installs them together. */
  async install(debs: readonly Deb[]): Promise<void> {
    const dir = after(await this.#run("makeTemporary", [], { sudo: false })).trim();
    if (!/^\/tmp\/slipway-[A-Za-z0-9]+$/.test(dir))
      throw new SlipwayError(
        "internal",
        `${targetText(this.#ssh.target)}: mktemp says ${JSON.stringify(dir.slice(0, 80))}`,
      );
    try {
      const files: string[] = [];
      for (const { file } of debs) {
        const path = `${dir}/${basename(file)}`;
        const stdin = readFileSync(file);
        await this.#run("upload", [path, String(stdin.length)], { sudo: false, stdin, deadlineMs: INSTALL_MS });
        files.push(path);
      }
      await this.#run("install", files, { deadlineMs: INSTALL_MS });
    } finally {
      await this.#run("drop", [dir], { sudo: false }).catch(() => {});
    }
  }

  /** Removes what enrolment made, so that the agent enrols anew. */
  async dropCertificate(properties: string): Promise<void> {
    await this.#ssh.run(scripts.stop, [], { sudo: this.#sudo, deadlineMs: SERVICE_MS });
    const { certificate, key } = this.tlsFiles(properties);
    await this.#run("drop", [certificate, key]);
  }

  /** Starts the service, or starts it anew. Errors: `refused` with the last line of its log. */
  async start(): Promise<void> {
    const { status } = await this.#ssh.run(scripts.start, [], { sudo: this.#sudo, deadlineMs: SERVICE_MS });
    if (status !== 0) throw await this.notRunning("did not start");
  }

  /** Also false for a service that systemd did not even start, because a condition of its unit is not met. */
  async isRunning(): Promise<boolean> {
    return !["failed", "inactive"].includes(after(await this.#run("state", [])).trim());
  }

  async notRunning(what: string): Promise<SlipwayError> {
    const { stdout } = await this.#ssh.run(scripts.lastLines, [], { sudo: this.#sudo });
    const line = after({ stdout }).trim().split("\n").map(clean).join(" | ").slice(0, MAX_LOG);
    return new SlipwayError(
      "refused",
      `${targetText(this.#ssh.target)}: slipway-agent ${what}: ${line || "its log is empty"}`,
      {
        fix: "correct that and repeat; systemctl status slipway-agent tells more there",
      },
    );
  }

  async disable(): Promise<void> {
    await this.#run("disable", [], { deadlineMs: SERVICE_MS });
  }

  async uninstall(): Promise<void> {
    await this.#run("uninstall", [], { deadlineMs: INSTALL_MS });
  }

  async #write(path: string, content: string, mode: string): Promise<void> {
    await this.#run("write", [path, mode, String(Buffer.byteLength(content))], { stdin: content });
  }

  /** Runs a script, as root unless told otherwise. Errors: `refused` with the last line of its complaint. */
  async #run(
    name: keyof typeof scripts,
    args: readonly string[],
    options: { sudo?: boolean; stdin?: Uint8Array | string; deadlineMs?: number } = {},
  ): Promise<Output> {
    const output = await this.#ssh.run(scripts[name], args, { ...options, sudo: options.sudo ?? this.#sudo });
    if (output.status === 0) return output;
    const line = clean(output.stderr.trim().split("\n").at(-1) ?? "").slice(0, 500);
    const how = output.status === null ? "was ended by a signal" : `failed with status ${output.status}`;
    throw new SlipwayError(
      "refused",
      `${targetText(this.#ssh.target)}: ${name} ${how}${line === "" ? "" : `: ${line}`}`,
    );
  }
}

/** What a script printed after its mark. */
function after({ stdout }: Pick<Output, "stdout">): string {
  const at = stdout.indexOf(`${BEGIN}\n`);
  return at < 0 ? "" : stdout.slice(at + BEGIN.length + 1);
}

function certificateOf(pem: string, authority: string): MachineFacts["certificate"] {
  if (pem.trim() === "") return undefined;
  try {
    const parsed = new X509Certificate(pem);
    const isExpired = Date.parse(parsed.validTo) < Date.now();
    return { host: identityOf(pem)?.name ?? "", authority, isExpired };
  } catch {
    return { host: "", authority: "", isExpired: false };
  }
}
