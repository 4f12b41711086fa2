import { keyText } from "@slipway/shared";
import type { Ports } from "./ports.ts";
import type { Incoming, Outgoing } from "./types.ts";

/**
 * Has the hooks directory replaced, unless a step that runs hooks, or ends with the host's boot, is in hand. Everything here is
 * one turn of the event loop, so no step can be accepted in between.
 */
export function pushHooks(
  { hooks, journal, log }: Ports,
  { nonce, hash, files }: Extract<Incoming, { type: "push-hooks" }>,
): Outgoing {
  const answer = (problem: string, changed = false, replaced = ""): Outgoing => {
    if (problem !== "") log("warn", `hooks: pushed set ${hash.slice(0, 12)} refused (${problem})`);
    return { type: "hooks-pushed", nonce, problem, changed, replaced, inventory: hooks.inventory() };
  };
  if (hooks.replace === undefined) return answer("this agent takes no pushed hooks");
  const busy = journal.open().find(({ spec }) => spec.kind === "hook" || spec.kind === "reboot");
  if (busy !== undefined) return answer(`${keyText(busy.key)} is in hand on this host; push again when it has ended`);
  const { problem, changed, replaced } = hooks.replace(hash, files);
  if (problem === "" && changed)
    log("info", `hooks: set ${hash} is in place${replaced === "" ? "" : `; the one before is in ${replaced}`}`);
  return answer(problem, changed, replaced);
}
