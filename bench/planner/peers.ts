import { execFile, execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { PoolSnapshot } from "../../packages/controller/src/planner/rolling/index.ts";
import { Clock, type Played } from "./clock.ts";
import { ganetiText } from "./pools.ts";

const run = promisify(execFile);
const HROLLER = "/usr/bin/hroller";
const PACKAGES = ["ganeti-htools", "ganeti-htools-3.0"];
const INSTALL_MS = 300_000;

/** Why hroller cannot be had here; empty when it can. */
export async function provideHroller(say: (text: string) => void): Promise<string> {
  if (existsSync(HROLLER)) return "";
  const want = `${HROLLER} missing: apt-get install ${PACKAGES.join(" ")}`;
  if (process.getuid?.() !== 0) return `${want} (needs root)`;
  say(`installing ${PACKAGES.join(", ")}`);
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const args = ["install", "-y", "--no-install-recommends", ...PACKAGES];
    await run("apt-get", args, { env, timeout: INSTALL_MS, maxBuffer: 16 << 20 });
    return "";
  } catch (thrown) {
    return `${want} (${(thrown as Error).message.split("\n")[0]})`;
  }
}

export interface Hrolled extends Played {
  readonly wallMs: number;
}

/**
 * hroller's plan under the common clock, and the wall time of its whole process; undefined where it finds none or needs
 * longer. It brings every instance back after each group. For DRBD it prints no moves, so only its groups count.
 */
export function hroller(dir: string, snapshot: PoolSnapshot, withinMs = 120_000): Hrolled | undefined {
  const file = join(dir, "pool.data");
  writeFileSync(file, ganetiText(snapshot));
  const started = performance.now();
  let text: string;
  try {
    const args = ["-t", file, "--print-moves", "--no-headers"];
    text = execFileSync(HROLLER, args, {
      encoding: "utf8",
      timeout: withinMs,
      maxBuffer: 256 << 20,
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch {
    return undefined;
  }
  const wallMs = performance.now() - started;
  const at = new Map(snapshot.instances.map((it) => [it.name, it.host]));
  const clock = new Clock(snapshot);
  let group: { instance: string; from: string; to: string }[] | undefined;
  const finish = () => {
    if (!group) return;
    clock.traffic(group);
    clock.away();
    clock.traffic(group.map(({ instance, from, to }) => ({ instance, from: to, to: from })));
  };
  for (const line of text.split("\n")) {
    const move = /^\s+(\S+)\s+(\S+)$/.exec(line);
    if (move) {
      const [, instance = "", to = ""] = move;
      group?.push({ instance, from: at.get(instance) ?? "", to });
    } else if (line.trim() !== "") {
      finish();
      group = [];
    }
  }
  finish();
  return { waves: clock.waves, moves: clock.moves, makespanMs: clock.makespanMs, wallMs };
}

/**
 * What most products do: one host after the other, each instance to the host with most room, and home again when its host
 * is back (`each`), when all are (`end`), or never. Undefined where it gets stuck.
 */
export function oneByOne(snapshot: PoolSnapshot, home: "each" | "end" | "never"): Played | undefined {
  const free = new Map(snapshot.hosts.map((h) => [h.name, h.memoryMiB]));
  const at = new Map<string, string>();
  const on = new Map<string, Set<string>>(snapshot.hosts.map((h) => [h.name, new Set()]));
  const memory = new Map(snapshot.instances.map((it) => [it.name, it.memoryMiB]));
  const put = (name: string, host: string) => {
    const before = at.get(name);
    if (before !== undefined) {
      free.set(before, (free.get(before) ?? 0) + (memory.get(name) ?? 0));
      on.get(before)?.delete(name);
    }
    at.set(name, host);
    on.get(host)?.add(name);
    free.set(host, (free.get(host) ?? 0) - (memory.get(name) ?? 0));
  };
  for (const it of snapshot.instances) put(it.name, it.host);
  const clock = new Clock(snapshot);
  for (const { name: host } of snapshot.hosts) {
    const leaving = [...(on.get(host) ?? [])].sort((a, b) => (memory.get(b) ?? 0) - (memory.get(a) ?? 0));
    const moves: { instance: string; from: string; to: string }[] = [];
    for (const instance of leaving) {
      let to = "";
      for (const h of snapshot.hosts)
        if (h.name !== host && (free.get(h.name) ?? 0) > (free.get(to) ?? -1)) to = h.name;
      if ((free.get(to) ?? -1) < (memory.get(instance) ?? 0)) return undefined;
      put(instance, to);
      moves.push({ instance, from: host, to });
    }
    clock.traffic(moves);
    clock.away();
    if (home !== "each") continue;
    for (const { instance } of moves) put(instance, host);
    clock.traffic(moves.map(({ instance, to }) => ({ instance, from: to, to: host })));
  }
  if (home === "end") {
    const away = snapshot.instances.filter((it) => at.get(it.name) !== it.host);
    clock.traffic(away.map((it) => ({ instance: it.name, from: at.get(it.name) ?? "", to: it.host })));
  }
  return clock;
}
