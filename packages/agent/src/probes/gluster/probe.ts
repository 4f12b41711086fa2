import type { Answer } from "../answer.ts";
import type { Asker, Probe } from "../probe.ts";
import { type GlusterAnswers, parseGluster, startedVolumes } from "./parse.ts";
import { isBusy } from "./volumes.ts";

const BUSY_WAIT_MS = 700;

/** GlusterFS 3.13 and later through its own command. Settings: `volume`, names with commas between; default all that are started. */
export const glusterProbe: Probe = {
  system: "gluster",
  async ask(context) {
    const only = context.settings.list("volume");
    context.settings.end();
    return parseGluster(await askGluster(context, only));
  },
};

/** Everything that `parseGluster` reads. */
export async function askGluster(
  context: Asker & { readonly host: string },
  only: readonly string[],
): Promise<GlusterAnswers> {
  const pool = await gluster(context, ["pool", "list"]);
  const info = await gluster(context, ["volume", "info"]);
  const volumes = startedVolumes(info, only);
  const status = await gluster(context, ["volume", "status", "all"]);
  // Before heal info: that is a client itself for a moment.
  const clients = await gluster(context, ["volume", "status", "all", "clients"]);
  const heal = new Map<string, Answer>();
  for (const { name, kind } of volumes)
    if (kind !== "distribute") heal.set(name, await gluster(context, ["volume", "heal", name, "info", "summary"]));
  return { pool, info, status, clients, heal, only, host: context.host };
}

/** Asked again while another command holds gluster's lock, as long as there is time. */
async function gluster(context: Asker, args: readonly string[]): Promise<Answer> {
  for (;;) {
    const answer = await context.run(["gluster", "--mode=script", "--xml", ...args]);
    if (!isBusy(answer) || !(await context.pause(BUSY_WAIT_MS))) return answer;
  }
}
