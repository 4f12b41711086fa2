import type { Run } from "../domain/run.ts";
import { stepInHand } from "../domain/run.ts";
import { steps } from "../domain/words.ts";
import type { FleetEntry } from "../fleet/registry.ts";

/** Hosts named per run; the rest is counted. */
const NAMED = 3;

/** What an operator reads in `systemctl status slipway-controller`. */
export function statusLine(hosts: readonly Pick<FleetEntry, "connected">[], active: readonly Run[]): string {
  const connected = hosts.filter((host) => host.connected).length;
  const away = hosts.length - connected;
  const agents = `${connected} agent${connected === 1 ? "" : "s"} connected${away > 0 ? `, ${away} not` : ""}`;
  return [agents, ...active.map(runText)].join("; ");
}

function runText(run: Run): string {
  const subject = `run ${run.spec.run}`;
  if (run.paused) return `${subject} paused by ${run.paused.who}`;
  if (run.held) return `${subject} holds: ${run.held.subject}: ${run.held.text}`;
  const inHand = run.hosts.flatMap((host) => {
    const step = stepInHand(host);
    return step ? [`${host.name} ${steps[step.step].state}`] : [];
  });
  const more = inHand.length > NAMED ? ` and ${inHand.length - NAMED} more` : "";
  const hosts = inHand.length > 0 ? `: ${inHand.slice(0, NAMED).join(", ")}${more}` : "";
  return `${subject} ${run.state}${hosts}`;
}
