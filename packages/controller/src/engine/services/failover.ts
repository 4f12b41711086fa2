import { durationText } from "@slipway/shared";
import type { ServiceTurn } from "../../domain/action.ts";
import type { Reason } from "../../domain/words.ts";
import { duties, failoverBlockers, failsOver, platformRules, type Role } from "../../placement/index.ts";
import type { Desk } from "../desk.ts";
import { pictureOf, staleness } from "../evacuate/pictures.ts";
import { serviceName } from "./concern.ts";

/** A platform's own service, by the name of the platform: what its host runs stops with it. */
const isPlatform = ({ service }: ServiceTurn) => failsOver(service.kind);

/**
 * Notes with the service of a platform which instances go elsewhere when it stops. Not those of which every host has its own, nor
 * those that may stay off until their host is back. A reason: what runs on the host is not known, or finds no place any more.
 */
export function withFailover(desk: Desk, turns: readonly ServiceTurn[]): readonly ServiceTurn[] | Reason {
  const { fleet, host, run, now } = desk;
  const picture = pictureOf(fleet, host.cluster, host.name);
  if (!turns.some(isPlatform) || picture?.inventory.platform === "none") return turns;
  const stale = staleness(host.name, picture, now);
  if (stale || picture === undefined) return stale as Reason;
  const [lost] = noPlaces(desk);
  if (lost) return lost;
  const { instances, platform } = picture.inventory;
  const { options } = run.spec;
  const global = new Set(instances.filter((i) => platformRules(i).global).map((i) => i.uuid));
  const going = duties(picture, fleet.pool, options).leaves.flatMap(({ uuid, name, how }) =>
    how === "failover" && !global.has(uuid) && !options.consentStop.includes(name) ? [{ uuid, name }] : [],
  );
  return turns.map((turn) =>
    going.length > 0 && turn.service.kind === platform ? { ...turn, failsOver: going } : turn,
  );
}

/** What would run nowhere if the host went out now, with those that are on their way out: whatever the plan once said of it. */
export function noPlaces({ fleet, host, run, now }: Desk): readonly Reason[] {
  const pictures = fleet.inventoriesOf(host.cluster);
  if (!failsOver(pictures.find((p) => p.host === host.name)?.inventory.platform ?? "")) return [];
  const roles = new Map<string, Role>();
  for (const picture of pictures) {
    const name = picture.host;
    const isInTurn = run.hosts.some((h) => h.name === name && h.cordoned && h.outcome === undefined);
    const holders = fleet.host(name)?.cordonedBy ?? [];
    const stale = staleness(name, picture, now);
    if (name === host.name || isInTurn) roles.set(name, { is: "source" });
    else if (stale) roles.set(name, { is: "closed", because: stale });
    else if (holders.length > 0) {
      const who = holders.map((h) => (h === "operator" ? "an operator" : `run ${h}`)).join(" and ");
      const because = { rule: "cordoned", subject: name, text: `${name} is cordoned by ${who}` };
      roles.set(name, { is: "closed", because: { ...because, fix: `slipway uncordon ${name}` } });
    }
  }
  const blockers = failoverBlockers(pictures, roles, run.spec.options, fleet.pool);
  return blockers.filter((b) => b.host === host.name).map((b) => b.reason);
}

/**
 * Why a platform's service that has stopped is not done with: its platform tells nobody of an instance that it finds no place for, so
 * each has to be seen running on another host. `isOver`: they had as long as the stop itself may take.
 */
export function notElsewhere(
  desk: Desk,
  { service, failsOver: going = [] }: ServiceTurn,
  stoppedT: number,
): { readonly reason: Reason; readonly isOver: boolean } | undefined {
  const { fleet, host } = desk;
  const others = fleet.inventoriesOf(host.cluster).filter((p) => p.host !== host.name);
  const runs = (uuid: string) =>
    others.some((p) => p.inventory.instances.some((i) => i.uuid === uuid && i.state === "running" && i.job === ""));
  const names = going.filter(({ uuid }) => !runs(uuid)).map(({ name }) => name);
  if (names.length === 0) return undefined;
  const isOver = desk.expired(stoppedT + service.timeoutMs);
  const since = isOver ? ` within ${durationText(service.timeoutMs)}` : " yet";
  const text = `${names.join(", ")} stopped with ${serviceName(service)} on ${host.name} and ${names.length === 1 ? "runs" : "run"} on no other host${since}`;
  const fix = `see what keeps it from other hosts (slipway instance list), or consent that it stays off: --consent-stop ${names[0]}`;
  return { reason: { rule: "failover", subject: host.name, text, fix }, isOver };
}
