import { noQuorum, type QuorumConfig, servicesFor } from "../domain/quorum.ts";
import type { RunOptions, StepName } from "../domain/words.ts";
import { hasHook } from "./hooks.ts";
import type { KnownHost } from "./scope.ts";

/** The steps of a host in order, as far as they are known before any has run; the walk itself is the engine's. */
export function stepsOf(host: KnownHost, options: RunOptions, quorum: QuorumConfig = noQuorum): StepName[] {
  const isWatched = quorum.probes.length > 0 || quorum.groups.length > 0;
  const hasServices = servicesFor(quorum, host.name, host.labels).length > 0;
  const only = (isThere: boolean, ...steps: StepName[]) => (isThere ? steps : []);
  const has = (stage: "PreFlight" | "PreMaintenance" | "PostMaintenance") => only(hasHook(host, stage), stage);
  const stop = [...only(isWatched, "recheck"), ...only(hasServices, "services-stop")];
  const start = [...only(hasServices, "services-start"), ...only(isWatched, "heal")];
  switch (options.op) {
    case "drain":
      return ["gate", "cordon", "drain", ...only(hasServices, ...stop)];
    case "restore":
      return [...start, "restore", "uncordon"];
    case "move":
      return ["move"];
    case "hooks":
    case "reboot": {
      const always: StepName[] = ["inspect", ...has("PreFlight")];
      if (options.op === "hooks" && !hasHook(host, "Maintenance")) return always;
      return [
        ...[...always, ...has("PreMaintenance")],
        ...(["gate", "cordon", "drain"] as const),
        ...stop,
        ...only(options.op === "hooks", "Maintenance"),
        ...only(options.reboot === "always", "reboot"),
        ...start,
        ...(["restore", "uncordon"] as const),
        ...has("PostMaintenance"),
      ];
    }
  }
}
