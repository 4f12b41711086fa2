import type { Reason } from "../../domain/words.ts";
import { stopProblem } from "../../placement/duties.ts";
import { listText, sizeText } from "../../placement/text.ts";
import type { Infeasible, Relaxation } from "../rolling/index.ts";
import type { Scheduled, ScheduleInput } from "./input.ts";
import type { Names } from "./names.ts";

/** Why there is no schedule, and what would make one possible, as an operator can act on it. */
export function explained(why: Infeasible, names: Names, input: ScheduleInput): Scheduled {
  const own = (subject: string) => names.known(subject)?.name ?? subject;
  return {
    kind: "none",
    proven: why.proven,
    reasons: why.reasons.map((r) => ({ ...r, subject: own(r.subject) })),
    relaxations: why.relaxations.flatMap((r) => relaxed(r, names, input) ?? []),
  };
}

function relaxed(relaxation: Relaxation, names: Names, input: ScheduleInput): Reason | undefined {
  switch (relaxation.kind) {
    case "stop": {
      const known = relaxation.instances.flatMap((name) => names.known(name) ?? []);
      // What would be gone once it stops is never proposed.
      if (known.length < relaxation.instances.length || known.some((k) => !isStoppable(k.uuid, input)))
        return undefined;
      const all = known.map((k) => k.name);
      const text = `it could be done if ${listText(all)} ${all.length === 1 ? "was" : "were"} stopped for ${all.length === 1 ? "its host's turn" : "their hosts' turns"}`;
      return { rule: "relax-stop", subject: all[0] ?? "", text, fix: all.map((n) => `--consent-stop ${n}`).join(" ") };
    }
    case "exclude": {
      const { hosts } = relaxation;
      const inScope = input.hosts.filter((h) => h.state === "in-scope");
      if (hosts.length === inScope.length) return undefined;
      const text = `it could be done without ${listText(hosts)}`;
      return { rule: "relax-exclude", subject: hosts[0] ?? "", text, fix: `--exclude ${hosts.join(",")}` };
    }
    case "add-host": {
      const { cluster, memoryMiB, vcpus } = relaxation;
      const text = `it could be done with one more host of ${sizeText(memoryMiB)} and ${vcpus} virtual CPUs in cluster ${cluster}`;
      return { rule: "relax-add-host", subject: cluster, text, fix: "" };
    }
  }
}

function isStoppable(uuid: string, { hosts, inventories }: ScheduleInput): boolean {
  for (const cluster of new Set(hosts.map((h) => h.cluster)))
    for (const { host, inventory } of inventories(cluster)) {
      const instance = inventory.instances.find((i) => i.uuid === uuid);
      if (instance) return stopProblem(instance, "shutdown-restart", host) === undefined;
    }
  return false;
}
