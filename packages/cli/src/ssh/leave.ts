import { SlipwayError } from "@slipway/shared";
import type { Done } from "./join.ts";
import type { Machine } from "./machine.ts";
import { readProperties } from "./properties.ts";

/**
 * Ends a machine's being a host: the controller forgets it, its agent stops and its package goes; configuration and hooks stay.
 * What is done already is left alone. `forget` returns undefined when the controller did not know it. Errors: `refused` when the
 * machine is another host.
 */
export async function leaveHost(
  machine: Machine,
  host: string,
  forget: () => Promise<object | undefined>,
  progress: (done: Done) => void,
): Promise<Done[]> {
  const done: Done[] = [];
  async function timed(step: string, text: string, work: () => Promise<unknown>): Promise<void> {
    const since = performance.now();
    if ((await work()) === undefined) return;
    const entry = { step, milliseconds: Math.round(performance.now() - since), text };
    done.push(entry);
    progress(entry);
  }

  const facts = await machine.inspect();
  const name = facts.certificate?.host || readProperties(facts.properties).get("slipway.host") || facts.name;
  if (name !== host)
    throw new SlipwayError("refused", `host ${host}: the machine that --ssh names is host ${name}`, {
      fix: "check which of the two is meant",
    });
  // First, so that nothing has happened when the controller refuses.
  await timed("forget", "by the controller; its certificate is not accepted any more", forget);
  if (facts.isActive || facts.isEnabled)
    await timed("stop", "slipway-agent.service, also at boot", async () => {
      await machine.disable();
      return true;
    });
  if (facts.agentVersion !== "")
    await timed("uninstall", `slipway-agent ${facts.agentVersion}; configuration and hooks stay`, async () => {
      await machine.uninstall();
      return true;
    });
  return done;
}
