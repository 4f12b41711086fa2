import { stages } from "@slipway/shared";
import type { Settings } from "../config/settings.ts";
import { HooksDirectory } from "../hooks/directory.ts";

/** The check of `slipway-agent hooks`, as text; `isGood` when nothing would be refused. */
export function checkHooks(settings: Settings): { text: string; isGood: boolean } {
  const inventory = new HooksDirectory(settings.hooksDir).inventory();
  if (inventory.problem !== "") return { text: `${inventory.problem}\n`, isGood: false };
  const lines = stages.map((stage) => {
    const hook = inventory.hooks.find((one) => one.stage === stage);
    const name = stage.padEnd(16);
    if (hook === undefined) return `${name} none`;
    return hook.problem === "" ? `${name} ok    ${hook.file}  sha256 ${hook.sha256}` : `${name} bad   ${hook.problem}`;
  });
  lines.push(
    `${"all files".padEnd(16)} ${inventory.hash === "" ? "too many or too large to be pushed" : `hash ${inventory.hash}`}`,
  );
  return { text: `${lines.join("\n")}\n`, isGood: inventory.hooks.every((hook) => hook.problem === "") };
}
