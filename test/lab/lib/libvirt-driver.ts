// Runs in a lab host: the agent's libvirt platform by itself, one job, its result as one line of JSON. Bundled by libvirt-agent.test.ts.

import { setTimeout as sleep } from "node:timers/promises";
import type { Inventory } from "@slipway/shared";
import { createLibvirtPlatform, type LibvirtPlatform } from "../../../packages/agent/src/platform/libvirt/index.ts";
import type { JobResult } from "../../../packages/agent/src/steps/ports.ts";
import type { InstanceSpec } from "../../../packages/agent/src/steps/types.ts";

export interface Order {
  /** Without one: the inventory. */
  readonly spec?: InstanceSpec;
  /** As an agent that finds the step in its journal. */
  readonly isResumed?: boolean;
  /** The process is killed as soon as memory is under way. */
  readonly diesOnTheWay?: boolean;
  /** Says so on standard error as soon as memory is under way. */
  readonly saysWhenOnTheWay?: boolean;
  readonly sharedPaths: readonly { readonly path: string; readonly name: string }[];
}
export interface Told {
  readonly inventory: Inventory;
  readonly result?: JobResult;
}

const order = JSON.parse(process.argv[2] ?? "", reviver) as Order;
const platform = createLibvirtPlatform({
  ...{ migrationUri: "qemu+tls://here/system", migrationAddress: "", reserveMib: 0, sharedPaths: order.sharedPaths },
  ...{ stateDir: "/var/tmp/libvirt-driver", announce: () => {}, log: () => {} },
  monotonicMs: () => performance.now(),
});
platform.open();
while (platform.inventory() === undefined) await sleep(50);
const result = order.spec === undefined ? undefined : await ended(platform, order.spec);
const told = { inventory: platform.inventory(), ...(result === undefined ? {} : { result }) };
process.stdout.write(`${JSON.stringify(told, replacer)}\n`);
platform.close();

async function ended(platform: LibvirtPlatform, spec: InstanceSpec): Promise<JobResult> {
  if (order.isResumed) platform.resume("job", spec);
  else platform.start("job", spec);
  let isSaid = false;
  for (;;) {
    const look = platform.look("job");
    if (look.state === "ended") return look.result;
    const isOnTheWay = look.state === "running" && /^migrating: \d+ of \d\d+ MiB/.test(look.progress?.message ?? "");
    if (isOnTheWay && order.diesOnTheWay) process.kill(process.pid, "SIGKILL");
    if (isOnTheWay && order.saysWhenOnTheWay && !isSaid) process.stderr.write("on the way\n");
    isSaid ||= isOnTheWay;
    await sleep(50);
  }
}

/** JSON knows no big integers. */
export function replacer(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? { big: String(value) } : value;
}
export function reviver(_key: string, value: unknown): unknown {
  return typeof value === "object" && value !== null && "big" in value ? BigInt((value as { big: string }).big) : value;
}
