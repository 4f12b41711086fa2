import type { Answer } from "../answer.ts";
import type { Probe } from "../probe.ts";
import type { SettingsReader } from "../settings.ts";
import { cephNodes, type DaemonKind, daemonsOn, parseCeph } from "./parse.ts";

/** ceph and the options that the settings `conf`, `name`, `keyring` stand for. */
export function cephCommand(settings: SettingsReader): readonly string[] {
  const conf = settings.path("conf");
  const keyring = settings.path("keyring");
  const name = settings.optional("name");
  return [
    "ceph",
    "--connect-timeout=5",
    ...(conf === undefined ? [] : [`--conf=${conf}`]),
    ...(keyring === undefined ? [] : [`--keyring=${keyring}`]),
    ...(name === undefined ? [] : [`--name=${name}`]),
  ];
}

/**
 * Ceph 16 and later. Settings: `conf`, `keyring` (paths), `name` (client.slipway; mon 'allow r' and mgr 'allow r' are enough), `ignore`
 * (health checks that do not count, with commas between).
 */
export const cephProbe: Probe = {
  system: "ceph",
  async ask(context) {
    const { going, settings } = context;
    const ceph = [...cephCommand(settings), "--format=json"];
    const ignore = settings.list("ignore");
    settings.end();
    const ask = (...args: string[]) => context.run([...ceph, ...args]);
    const quorum = await ask("quorum_status");
    const nodes = await ask("node", "ls");
    const osds = await ask("osd", "dump");
    const status = await ask("status");
    const okToStop = new Map<DaemonKind, Answer>();
    if (going.length > 0)
      for (const kind of ["osd", "mon", "mds"] as const) {
        const ids = daemonsOn(cephNodes(nodes), kind, going);
        if (ids.length > 0) okToStop.set(kind, await ask(kind, "ok-to-stop", ...ids));
      }
    const placements = okToStop.has("osd") ? await ask("pg", "dump", "pgs_brief") : undefined;
    return parseCeph({ quorum, nodes, osds, status, going, okToStop, ignore, ...(placements ? { placements } : {}) });
  },
};
