import { durationText } from "@slipway/shared";
import { type HostInventory, INVENTORY_FRESH_MS } from "../domain/inventory.ts";
import type { Reason } from "../domain/words.ts";

/** Why what is known of a host is not enough to act on: it is neither a target, nor can it be told what has to leave it. */
export function pictureProblem(host: HostInventory, nowT: number): Reason | undefined {
  const reason = (rule: string, text: string, fix: string): Reason => ({
    rule,
    subject: host.host,
    text: `${host.host} ${text}`,
    fix,
  });
  if (!host.connected)
    return reason(
      "disconnected",
      "is not connected, so what runs there is not known",
      `start slipway-agent on ${host.host}`,
    );
  if (host.inventory.problem !== "")
    return reason(
      "platform-problem",
      `is not able to read its platform: ${host.inventory.problem}`,
      `look at it on ${host.host}`,
    );
  const age = nowT - host.readT;
  if (age > INVENTORY_FRESH_MS)
    return reason(
      "stale-picture",
      `has told nothing of its instances for ${durationText(age)}`,
      `look at slipway-agent on ${host.host}`,
    );
  return undefined;
}
