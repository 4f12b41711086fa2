import { fail, said } from "../probes/answer.ts";
import type { ServiceMemory } from "./memory.ts";
import type { Proc } from "./processes.ts";
import type { Service, ServiceContext } from "./service.ts";

const KIND = "gluster-mounts";
const TYPE = "fuse.glusterfs";
/** More holders than anybody reads. */
const MAX_HOLDERS = 10;

interface Mount {
  readonly source: string;
  readonly target: string;
  readonly isReadOnly: boolean;
}

/**
 * The GlusterFS volumes that this host has mounted. All are free before the first is unmounted, and none is unmounted lazily: a busy
 * one keeps its processes' writes going, and names them. What was mounted is kept and mounted again.
 */
export function glusterMountsService(proc: Proc, memory: ServiceMemory): Service {
  const mounted = (): Mount[] => proc.mounts(TYPE);
  const missing = (context: ServiceContext): Mount[] => {
    const now = mounted();
    const noted = memory.noted(KIND, context.name);
    const before = noted === undefined ? [] : (JSON.parse(noted) as Mount[]);
    return before.filter((mount) => !now.some((m) => m.target === mount.target));
  };
  return {
    kind: KIND,
    async state(context) {
      context.settings.end();
      return mounted().length === 0 ? "stopped" : "running";
    },

    async stop(context) {
      const before = [...missing(context), ...mounted()];
      const busy = mounted().flatMap(({ target }) => heldBy(proc, target));
      if (busy.length > 0) fail(busy.join("; "));
      // Before the first is gone, so that whatever happens all of them are known.
      memory.note(KIND, context.name, JSON.stringify(before));
      for (const { target } of mounted().reverse()) {
        const answer = await context.run(["umount", "--", target]);
        // umount's own word is not enough either way: the mounts are read anew.
        if (mounted().some((m) => m.target === target))
          fail(heldBy(proc, target)[0] ?? `${target} cannot be unmounted (${said(answer) || "no answer in time"})`);
      }
      const left = mounted();
      if (left.length > 0) fail(`${left.map((m) => m.target).join(", ")} was mounted meanwhile`);
    },

    async start(context) {
      for (const { source, target, isReadOnly } of missing(context)) {
        // With the options of fstab or of its mount unit, if it has one there.
        const listed = await context.run([
          "findmnt",
          "--fstab",
          "--noheadings",
          "--output=SOURCE",
          `--mountpoint=${target}`,
        ]);
        const isListed = listed.exitCode === 0 && listed.stdout.trim() !== "";
        const options = isReadOnly ? ["-o", "ro"] : [];
        const answer = await context.run(
          isListed ? ["mount", "--", target] : ["mount", "-t", "glusterfs", ...options, "--", source, target],
        );
        if (!mounted().some((m) => m.target === target))
          fail(`${source} cannot be mounted on ${target} (${said(answer) || "no answer in time"})`);
      }
    },

    async check(context) {
      const targets = missing(context).map((m) => m.target);
      if (targets.length > 0) fail(`${targets.join(", ")} is not mounted`);
    },
  };
}

function heldBy(proc: Proc, target: string): string[] {
  const holders = proc.holders(target);
  if (holders.length === 0) return [];
  const names = holders.slice(0, MAX_HOLDERS).map(({ pid, command }) => `${command} (${pid})`);
  const more = holders.length > MAX_HOLDERS ? ` and ${holders.length - MAX_HOLDERS} more` : "";
  return [`${target} is in use by ${names.join(", ")}${more}; stop them, then go on`];
}
