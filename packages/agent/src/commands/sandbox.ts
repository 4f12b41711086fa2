import { SlipwayError } from "@slipway/shared";

const DROP_IN = "/usr/share/slipway-agent/direct-executor.conf";

/**
 * Hooks of the direct executor run in whatever sandbox the agent's own unit has, where a package could not be upgraded nor a
 * device be seen. The unit says so in `SLIPWAY_SANDBOX`, and the drop-in that lifts the sandbox takes it back.
 * Errors: `bad-input`, rather than hooks that fail for reasons nobody would look for.
 */
export function refuseSandboxedHooks(executor: "systemd" | "direct", env: NodeJS.ProcessEnv): void {
  if (executor !== "direct" || env["SLIPWAY_SANDBOX"] !== "yes") return;
  throw new SlipwayError("bad-input", "the direct executor's hooks would run in the sandbox of slipway-agent.service", {
    fix: `copy ${DROP_IN} to /etc/systemd/system/slipway-agent.service.d/ and run systemctl daemon-reload, or unset rolling.maintenance.service.executor.disabled`,
  });
}
