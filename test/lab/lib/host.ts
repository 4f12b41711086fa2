import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isLegacy, makeGroups, removeGroups } from "./cgroups.ts";
import type { HostStatus } from "./protocol.ts";
import { attempt, childrenOf, LabError, run, until } from "./system.ts";

// One host:
//
//   off ── boot ──► booting ── multi-user.target ──► up ── systemctl reboot ──► off (firmware) ── boot ...
//                                                     └── power cut ──────────► off (firmware, or until `boot`)
//
// Its disk is the overlay's upper layer on a tmpfs of its own: it outlives reboots and power cuts and goes with the lab.

/** nspawn's exit status when the host asked for a reboot. */
const REBOOTED = 133;

export interface HostSettings {
  readonly lab: string;
  readonly name: string;
  /** IPv4 address with prefix length. */
  readonly address: string;
  readonly bridge: string;
  /** Directory of the lab for this host. */
  readonly dir: string;
  readonly lower: string;
  /** Between the end of a host and its next boot, milliseconds: the time of its firmware. */
  readonly firmwareMs: number;
  /** The host's disk, MiB. */
  readonly diskMiB: number;
  /** Directories of the machine that the host sees, read-only: `source:target`. */
  readonly binds: readonly string[];
  /** The same, writable: devices, and directories that hosts share. */
  readonly writable: readonly string[];
  readonly say: (line: string) => void;
}

export class Host {
  readonly #settings: HostSettings;
  #nspawn: ChildProcess | undefined;
  #leader = 0;
  #state: HostStatus["state"] = "off";
  #boots = 0;
  #isolated = false;
  #stayDown = false;
  #timer: NodeJS.Timeout | undefined;
  /** Groups in which its boots lived; a number each, because a group with a dying process cannot be used again. */
  #group = "";

  constructor(settings: HostSettings) {
    this.#settings = settings;
    const { dir, lower, diskMiB } = settings;
    mkdirSync(dir, { recursive: true });
    run("mount", ["-t", "tmpfs", "-o", `size=${diskMiB}m,mode=0755`, "tmpfs", dir]);
    for (const path of ["upper", "work", "root"]) mkdirSync(join(dir, path));
    const layers = `lowerdir=${lower},upperdir=${join(dir, "upper")},workdir=${join(dir, "work")}`;
    run("mount", ["-t", "overlay", "-o", layers, "overlay", this.root]);
    this.#personality();
  }

  /** Its root directory, whether it is on or off. */
  get root(): string {
    return join(this.#settings.dir, "root");
  }

  get name(): string {
    return this.#settings.name;
  }

  status(): HostStatus {
    const { name, address } = this.#settings;
    return { name, address, state: this.#state, leader: this.#leader, boots: this.#boots, isolated: this.#isolated };
  }

  /** Name, machine id and address are its own. */
  #personality(): void {
    const etc = join(this.root, "etc");
    writeFileSync(join(etc, "hostname"), `${this.name}\n`);
    writeFileSync(join(etc, "machine-id"), `${crypto.randomUUID().replaceAll("-", "")}\n`);
    const network = `[Match]\nName=host0\n[Network]\nAddress=${this.#settings.address}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n`;
    writeFileSync(join(etc, "systemd/network/10-lab.network"), network);
  }

  boot(): void {
    if (this.#nspawn !== undefined) return;
    clearTimeout(this.#timer);
    this.#stayDown = false;
    this.#boots++;
    this.#state = "booting";
    const { lab, dir, bridge, binds, writable } = this.#settings;
    this.#dropGroup();
    this.#group = `${this.name}.${this.#boots}`;
    const join_ = makeGroups(lab, this.#group).map((file) => `echo $$ > ${file}`);
    // nspawn shows version 1 controllers read-only; here the host's limits are to be real ones.
    const limits = isLegacy()
      ? 'for c in memory pids cpu; do mount -o remount,rw,bind "/sys/fs/cgroup/$c"; done 2>/dev/null; '
      : "";
    const nspawn = [
      ...["exec", "systemd-nspawn", "-q", "-D", this.root, "-M", this.name, "--register=no", "--keep-unit"],
      ...["--settings=no", "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--capability=all"],
      ...[`--network-bridge=${bridge}`, "--console=pipe", "--kill-signal=SIGRTMIN+4"],
      ...binds.map((bind) => `--bind-ro=${bind}`),
      ...writable.map((bind) => `--bind=${bind}`),
      ...["/bin/sh", "-c", `'${limits}exec /lib/systemd/systemd'`],
    ].join(" ");
    const console_ = openSync(join(dir, "console"), "a");
    const child = spawn("sh", ["-c", [...join_, nspawn].join("\n")], {
      stdio: ["ignore", console_, console_],
      // Its own group: a Ctrl-C at the lab's terminal is no power cut.
      detached: true,
      env: { PATH: process.env["PATH"] ?? "", LANG: "C" },
    });
    closeSync(console_);
    this.#nspawn = child;
    child.once("error", () => this.#ended(child, -1));
    child.once("exit", (status) => this.#ended(child, status ?? -1));
    void this.#follow(child);
  }

  /** Until systemd has reached its default target. */
  async #follow(child: ChildProcess): Promise<void> {
    const pid = child.pid;
    if (pid === undefined) return;
    const here = () => this.#nspawn === child;
    try {
      const isUp = async () => {
        if (!here()) return true;
        this.#leader = childrenOf(pid)[0] ?? 0;
        if (this.#leader === 0) return false;
        if (this.#isolated) this.#link("down");
        const probe = ["-t", String(this.#leader), "-a", "systemctl", "is-active", "-q", "multi-user.target"];
        return (await attempt("nsenter", probe, 5000)).status === 0;
      };
      // Hosts boot side by side, and each look is two processes.
      await until(`${this.name} boots`, isUp, 60_000, 200);
      if (here()) this.#state = "up";
    } catch (thrown) {
      this.#settings.say(`${this.name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    }
  }

  #ended(child: ChildProcess, status: number): void {
    if (this.#nspawn !== child) return;
    this.#nspawn = undefined;
    this.#leader = 0;
    this.#state = "off";
    // A power-off stays off, like a press of the button; anything else is a machine that has power and starts again.
    if (status === 0 || this.#stayDown) {
      this.#settings.say(`${this.name}: off`);
      return;
    }
    this.#settings.say(`${this.name}: ${status === REBOOTED ? "reboots" : `lost power (${status}), starts again`}`);
    this.#timer = setTimeout(() => this.boot(), this.#settings.firmwareMs);
  }

  /** The reboot that an administrator types. */
  async reboot(): Promise<void> {
    const done = await attempt("nsenter", ["-t", String(this.#needLeader()), "-a", "systemctl", "reboot"], 20_000);
    if (done.status !== 0 && this.#leader !== 0) throw new LabError(`${this.name}: ${done.stderr.trim()}`);
  }

  /**
   * Everything is gone between two instructions. First the cable: a host without power sends no farewell, but the kernel of this
   * machine would close the connections of killed processes.
   */
  powercut(stayDown: boolean): void {
    if (this.#nspawn === undefined) {
      clearTimeout(this.#timer);
      if (!stayDown) this.boot();
      return;
    }
    this.#stayDown = stayDown;
    this.#link("down");
    process.kill(this.#leader || (this.#nspawn.pid ?? 0), "SIGKILL");
  }

  isolate(isolated: boolean): void {
    this.#isolated = isolated;
    if (this.#nspawn !== undefined) this.#link(isolated ? "down" : "up");
  }

  #link(state: "up" | "down"): void {
    try {
      run("ip", ["link", "set", `vb-${this.name}`, state]);
    } catch {
      // The host is just going down or coming up and has no link.
    }
  }

  #needLeader(): number {
    if (this.#leader === 0) throw new LabError(`${this.name} is off; npm run lab -- boot ${this.name} starts it`);
    return this.#leader;
  }

  #dropGroup(): void {
    if (this.#group !== "") removeGroups(this.#settings.lab, this.#group);
  }
}
