import { z } from "zod";
import { fail, whole } from "../probes/answer.ts";
import { cephNodes, daemonsOn } from "../probes/ceph/parse.ts";
import { cephCommand } from "../probes/ceph/probe.ts";
import { readJson } from "../probes/json.ts";
import { type Service, type ServiceContext, until } from "./service.ts";

const flags = z.object({ crush_node_flags: z.record(z.string(), z.array(z.string())) });

/**
 * Ceph's noout for the OSDs of this host alone, so that its data is not copied elsewhere while it is away. "Stopped" is: set. Settings:
 * `conf`, `keyring`, `name` as for the probe, `node` (the host's name in the CRUSH map, default: the host's).
 */
export const cephNooutService: Service = {
  kind: "ceph-noout",
  state: async (context) => ((await isSet(context)) ? "stopped" : "running"),
  async stop(context) {
    const { ceph, node } = read(context);
    // Ceph takes any name for a host.
    const nodes = cephNodes(await context.run([...ceph, "--format=json", "node", "ls"]));
    if (daemonsOn(nodes, "osd", [node]).length === 0)
      fail(`ceph has no OSD on ${node}; give its name there in the setting node`);
    whole(await context.run([...ceph, "osd", "set-group", "noout", node]), "ceph osd set-group noout");
    await until(context, async () => ((await isSet(context)) ? "" : `ceph: noout is not set for ${node} yet`));
  },
  async start(context) {
    const { ceph, node } = read(context);
    if (await isSet(context))
      whole(await context.run([...ceph, "osd", "unset-group", "noout", node]), "ceph osd unset-group noout");
    await until(context, async () => ((await isSet(context)) ? `ceph: noout is still set for ${node}` : ""));
  },
  async check(context) {
    if (await isSet(context)) fail(`ceph: noout is set for ${read(context).node}`);
  },
};

function read({ settings, host }: ServiceContext) {
  const ceph = cephCommand(settings);
  const node = settings.text("node", host);
  settings.end();
  return { ceph, node };
}

async function isSet(context: ServiceContext): Promise<boolean> {
  const { ceph, node } = read(context);
  const what = "ceph osd dump";
  const dump = readJson(whole(await context.run([...ceph, "--format=json", "osd", "dump"]), what), what, flags);
  return Object.hasOwn(dump.crush_node_flags, node) && (dump.crush_node_flags[node] ?? []).includes("noout");
}
