import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { SlipwayError } from "@slipway/shared";

const DEADLINE_MS = 90_000;

/** The daemon of libvirt that answers other hosts. */
export interface Daemon {
  /** libvirtd, or virtproxyd where each driver has a daemon of its own. */
  readonly name: "libvirtd" | "virtproxyd";
  readonly config: string;
}

/** What systemd is asked; the answer's text, or undefined when it failed. */
export type Systemctl = (args: readonly string[]) => Promise<{ readonly ok: boolean; readonly text: string }>;

/** libvirtd where it is in use, else virtproxyd. */
export async function findDaemon(systemctl: Systemctl): Promise<Daemon> {
  const isUsed = async (unit: string) => {
    const { text } = await systemctl(["show", "--property=ActiveState,UnitFileState", unit]);
    return /^(?:ActiveState=active|UnitFileState=enabled)$/m.test(text);
  };
  const [monolithic, modular] = await Promise.all([
    Promise.all(["libvirtd.service", "libvirtd.socket"].map(isUsed)),
    Promise.all(["virtqemud.service", "virtqemud.socket", "virtproxyd.socket"].map(isUsed)),
  ]);
  const isModular = !monolithic.includes(true) && modular.includes(true);
  return isModular ? { name: "virtproxyd", config: "virtproxyd.conf" } : { name: "libvirtd", config: "libvirtd.conf" };
}

/**
 * Opens the TLS port, now and with every boot, and has the daemon read what is new. Guests do not notice; a migration under way
 * would, so the caller has made sure that there is none. Returns what was done, for people.
 * Errors: `internal`, with systemd's words.
 */
export async function openTlsPort({ name }: Daemon, isChanged: boolean, systemctl: Systemctl): Promise<string> {
  const socket = `${name}-tls.socket`;
  const service = `${name}.service`;
  const must = async (...args: string[]) => {
    const { ok, text } = await systemctl(args);
    if (!ok) throw new SlipwayError("internal", `systemctl ${args.join(" ")}: ${text.trim().replace(/\s+/g, " ")}`);
  };
  const isActive = async (unit: string) => (await systemctl(["is-active", "--quiet", unit])).ok;
  const enabled = await systemctl(["is-enabled", "--quiet", socket]);
  if (!enabled.ok) await must("enable", socket);
  if (await isActive(socket)) {
    if (!isChanged) return `${socket} is open`;
    await must("try-restart", service);
    return `${socket} is open, ${service} was restarted`;
  }
  // A socket is not taken over by a service that runs already; and as long as its other sockets are open, whoever connects to one
  // of them starts it again.
  const units = [`${name}.socket`, `${name}-ro.socket`, `${name}-admin.socket`, service];
  const states = await Promise.all(units.map(isActive));
  const running = units.filter((_, at) => states[at]);
  if (running.length > 0) await must("stop", ...running);
  try {
    await must("start", socket);
  } finally {
    if (running.length > 0) await must("start", ...running);
  }
  return `${socket} was opened`;
}

export function hasSystemd(): boolean {
  return existsSync("/run/systemd/system");
}

export const hostSystemctl: Systemctl = (args) =>
  new Promise((resolve) => {
    const options = { timeout: DEADLINE_MS, maxBuffer: 64 * 1024, encoding: "utf8" } as const;
    execFile("systemctl", ["--no-ask-password", ...args], options, (error, stdout, stderr) =>
      resolve({ ok: error === null, text: stdout + stderr }),
    );
  });
