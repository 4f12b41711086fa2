import { existsSync } from "node:fs";

export interface Choice {
  /** Name in Hello. */
  readonly executor: "systemd" | "direct";
  /** Why, for people. */
  readonly reason: string;
}

/** Whether systemd is PID 1, by the test that sd_booted(3) makes. */
export function hasSystemd(): boolean {
  return existsSync("/run/systemd/system");
}

/** systemd where there is one, unless the operator says otherwise with CloudStack's key. */
export function chooseExecutor(
  settings: { readonly serviceExecutorDisabled: boolean; readonly platform: string },
  isSystemdThere: boolean,
): Choice {
  if (settings.serviceExecutorDisabled)
    return { executor: "direct", reason: "rolling.maintenance.service.executor.disabled is true" };
  // Several simulated hosts share one machine, and its systemd is nothing that their reboots could touch.
  if (settings.platform === "simulated") return { executor: "direct", reason: "this host is simulated" };
  if (!isSystemdThere) return { executor: "direct", reason: "systemd does not run here" };
  return { executor: "systemd", reason: "systemd runs here" };
}
