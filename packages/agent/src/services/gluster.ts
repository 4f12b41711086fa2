import { basename } from "node:path";
import { fail } from "../probes/answer.ts";
import { type GlusterAnswers, parseGluster, startedVolumes } from "../probes/gluster/parse.ts";
import { askGluster } from "../probes/gluster/probe.ts";
import { readStatus } from "../probes/gluster/status.ts";
import { readPeers } from "../probes/gluster/volumes.ts";
import { unitName } from "../probes/systemd/probe.ts";
import type { Proc, ProcessFacts } from "./processes.ts";
import { type Service, type ServiceContext, until } from "./service.ts";
import { isDown, startUnits, stopUnits, unitStates } from "./systemd.ts";

/** Between TERM and KILL, in milliseconds; stop-all-gluster-processes.sh gives 5 s. */
const TERM_MS = 15_000;

export interface GlusterHost {
  readonly proc: Proc;
  readonly kill: (pid: number, signal: "SIGTERM" | "SIGKILL") => void;
  readonly now: () => number;
}

/**
 * All of GlusterFS on this host, gracefully: while glusterd still answers it is asked what `stop-all-gluster-processes.sh -g` asks (64
 * rebalance, 65 heal, 66 tier) and whether every volume can do without the bricks here; then bricks and helpers end, glusterd last.
 * It is back when its bricks and its self-heal daemon are; healing is for the gate to wait for. Setting: `unit` (default glusterd).
 */
export function glusterService({ proc, kill, now }: GlusterHost): Service {
  const unitOf = ({ settings }: ServiceContext) => {
    const unit = unitName(settings.text("unit", "glusterd"));
    settings.end();
    return unit;
  };
  return {
    kind: "gluster",
    async state(context) {
      const unit = unitOf(context);
      const [found] = await unitStates(context, [unit]);
      if (found === undefined || found.load !== "loaded") fail(`unit ${unit} is not on this host`);
      return isDown(found) && glusterProcesses(proc).length === 0 ? "stopped" : "running";
    },

    async stop(context) {
      const unit = unitOf(context);
      const mounts = proc.mounts("fuse.glusterfs").map((m) => m.target);
      if (mounts.length > 0) fail(`${mounts.join(", ")} is still mounted; unmount it first (gluster-mounts)`);
      const [found] = await unitStates(context, [unit]);
      // With glusterd down nobody can say whether the bricks may go: an empty answer is no yes.
      if (found === undefined || isDown(found))
        fail(`bricks run and ${unit} does not: start it, so that it can be asked whether they may go`);
      const problem = guard(await askGluster(context, []));
      if (problem !== "") fail(problem);
      for (const { pid } of glusterProcesses(proc)) kill(pid, "SIGTERM");
      const killAt = now() + TERM_MS;
      await until(context, async () => {
        const rest = glusterProcesses(proc);
        if (now() >= killAt) for (const { pid } of rest) kill(pid, "SIGKILL");
        return rest.length === 0 ? "" : `${names(rest)} has not ended yet`;
      });
      await stopUnits(context, [unit]);
      const rest = glusterProcesses(proc);
      if (rest.length > 0) fail(`${names(rest)} came back`);
    },

    async start(context) {
      await startUnits(context, [unitOf(context)]);
      await until(context, () => notBack(context).catch((thrown: Error) => thrown.message));
    },

    async check(context) {
      const problem = await notBack(context);
      if (problem !== "") fail(problem);
    },
  };
}

/** Why the bricks of the asked host may not go; empty when they may. */
export function guard(answers: GlusterAnswers): string {
  const health = parseGluster(answers);
  if (health.state === "unknown") return `gluster cannot be read: ${health.reasons.join("; ")}`;
  const tasks = [...readStatus(answers.status)].flatMap(([volume, { tasks: all }]) =>
    all.map((t) => `${volume}: ${t}`),
  );
  if (tasks.length > 0) return `gluster is busy (64): ${tasks.join(", ")}`;
  const repairs = health.sets.flatMap((set) => (set.repairing === "" ? [] : [`${set.name}: ${set.repairing}`]));
  if (repairs.length > 0) return `gluster heals (65): ${repairs.join(", ")}`;
  const local = localBricks(answers);
  for (const set of health.sets) {
    const here = set.members.filter((m) => local.has(m.name));
    if (here.length === 0) continue;
    const stay = set.members.filter((m) => !local.has(m.name) && m.state === "up");
    const votes = stay.reduce((sum, m) => sum + m.votes, 0);
    const lost = `without ${here.map((m) => m.name).join(", ")}`;
    if (votes < set.needed) {
      const down = set.members.filter((m) => !local.has(m.name) && m.state !== "up").map((m) => m.name);
      return `gluster ${set.name}: ${lost} ${votes} of ${set.needed} needed votes are left${down.length > 0 ? ` (${down.join(", ")} not up)` : ""}`;
    }
    if (set.oneOf.length > 0 && !stay.some((m) => set.oneOf.includes(m.name)))
      return `gluster ${set.name}: ${lost} no brick that holds data is left`;
  }
  return "";
}

function localBricks(answers: GlusterAnswers): Set<string> {
  const uuid = readPeers(answers.pool).find((peer) => peer.hostname === "localhost")?.uuid;
  const volumes = startedVolumes(answers.info, []);
  return new Set(volumes.flatMap((v) => v.sets.flat().flatMap((brick) => (brick.uuid === uuid ? [brick.name] : []))));
}

/** What of this host is still missing in the eyes of its own glusterd. */
async function notBack(context: ServiceContext): Promise<string> {
  const answers = await askGluster(context, []);
  const local = localBricks(answers);
  const status = readStatus(answers.status);
  const online = new Map([...status.values()].flatMap((volume) => [...volume.bricks]));
  const missing = [...local].filter((brick) => online.get(brick) !== true);
  if (missing.length > 0) return `gluster: ${missing.join(", ")} is not online yet`;
  const uuid = readPeers(answers.pool).find((peer) => peer.hostname === "localhost")?.uuid ?? "";
  const healers = [...status].filter(([, volume]) => volume.healers.get(uuid) === false).map(([name]) => name);
  return healers.length > 0 ? `gluster: the self-heal daemon of ${healers.join(", ")} is not online yet` : "";
}

/** Bricks, self-heal daemons, quota and snapshot daemons, geo-replication; not glusterd itself, and no command line. */
export function glusterProcesses(proc: Proc): ProcessFacts[] {
  return proc.list().filter(({ argv: [program = "", ...args] }) => {
    const name = basename(program);
    return (
      name === "glusterfsd" ||
      (name === "glusterfs" && args.length > 0) ||
      args.some((word) => basename(word) === "gsyncd.py" || basename(word) === "gsyncd")
    );
  });
}

function names(processes: readonly ProcessFacts[]): string {
  return processes.map(({ pid, argv }) => `${basename(argv[0] ?? "")} (${pid})`).join(", ");
}
