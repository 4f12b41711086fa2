import { naturalCompare } from "@slipway/shared";
import type { Reason, RunOptions } from "../domain/words.ts";
import type { Obstacle } from "./facts.ts";
import { conflict, drivesOff, platformRules } from "./fleet-rules.ts";
import { type Guest, put, remove, type Site } from "./room.ts";
import { choices, sentence } from "./text.ts";
import type { Blocker, Move, Role } from "./types.ts";

/** Platforms that start elsewhere by themselves what stopped with its host. */
const platforms: ReadonlySet<string> = new Set(["fleet"]);

export function failsOver(platform: string): boolean {
  return platforms.has(platform);
}

/** Instances that stop with their host and that their platform starts elsewhere. */
export interface Failover {
  /** Where each is likely to go: the platform chooses. */
  readonly moves: readonly Move[];
  /** Those that would stay off until their host is back, and nobody consented to that. */
  readonly blockers: readonly Blocker[];
  readonly warnings: readonly Reason[];
}

interface Going {
  readonly guest: Guest;
  readonly from: string;
}

/**
 * Foretells where the platform starts what leaves with the hosts of a wave; `sites` are changed accordingly. The platform tells
 * nobody of a unit that fits nowhere: it simply does not run. It goes by its own rules and the number of units on a host, one unit after
 * the other in no fixed order, and takes none back, so what hangs on the order is warned of.
 */
export function failOver(
  sites: Map<string, Site>,
  roles: ReadonlyMap<string, Role>,
  leaving: readonly { readonly uuid: string; readonly host: string }[],
  options: Pick<RunOptions, "consentStop">,
): Failover {
  const going = leaving
    .flatMap(({ uuid, host }): Going[] => {
      const guest = sites.get(host)?.guests.get(uuid);
      return guest && !platformRules(guest.instance).global ? [{ guest, from: host }] : [];
    })
    .sort((a, b) => naturalCompare(a.guest.instance.name, b.guest.instance.name));
  const moves: Move[] = [];
  const warnings: Reason[] = [];
  const before = new Map(
    going.map((one) => [one, [...sites.values()].filter((s) => obstacle(one, s, sites, roles) === undefined)]),
  );
  let open: readonly Going[] = going;
  // What belongs with others finds its place after them.
  for (let placed = true; placed; ) {
    placed = false;
    for (const one of open) {
      const able = [...sites.values()].filter((site) => obstacle(one, site, sites, roles) === undefined);
      const to = able.sort(byUnits)[0];
      if (!to) continue;
      placed = true;
      open = open.filter((other) => other !== one);
      const { uuid, name } = one.guest.instance;
      warnings.push(...drivenOff(one, to), ...uncertain(one, going, before.get(one)?.length ?? 0));
      const source = sites.get(one.from);
      if (source) remove(source, uuid);
      put(to, one.guest, one.guest.arrival);
      moves.push({ uuid, name, from: one.from, to: to.name });
    }
  }
  const blockers: Blocker[] = [];
  for (const one of open) {
    const { name } = one.guest.instance;
    const found = stuck(one, sites, roles);
    if (!options.consentStop.includes(name)) blockers.push(found);
    else {
      const text = `${name} stops with ${one.from} and does not run until ${one.from} is back, as an operator consented`;
      warnings.push({ rule: "stops-with-host", subject: name, text, fix: "" });
    }
  }
  return { moves, blockers, warnings };
}

/** fleet's own order: the fewest units, then the id. */
function byUnits(a: Site, b: Site): number {
  const id = (site: Site) => site.host.inventory.capacity?.migrationUri ?? "";
  return a.guests.size - b.guests.size || (id(a) < id(b) ? -1 : 1);
}

/** Why the platform does not start it there; the phrase has the host as its subject. */
function obstacle(
  { guest, from }: Going,
  site: Site,
  sites: ReadonlyMap<string, Site>,
  roles: ReadonlyMap<string, Role>,
): Obstacle | undefined {
  const say = (rule: string, phrase: string, fix = ""): Obstacle => ({ rule, phrase, fix });
  const { instance } = guest;
  const { hosts, peers } = platformRules(instance);
  const platform = sites.get(from)?.host.inventory.platform;
  const { capacity, platform: there } = site.host.inventory;
  const role = roles.get(site.name) ?? { is: "target" };
  if (site.name === from || role.is === "source") return say("source", "is going out itself");
  if (there !== platform) return say("platform", `has the platform ${there || "none"}, not ${platform}`);
  if (role.is === "closed") return say(role.because.rule, `is closed (${role.because.text})`, role.because.fix);
  if (!capacity?.migrationUri)
    return say("platform-stopped", `has its ${there} stopped`, `slipway restore ${site.name}`);
  if (hosts && !hosts.includes(capacity.migrationUri))
    return say("pinned", `is not among the machines of its unit file${instance.pinned ? ` (${instance.pinned})` : ""}`);
  const guests = [...site.guests.values()];
  const missing = peers.find((peer) => !guests.some((g) => g.instance.name === peer));
  if (missing) return say("machine-of", `does not run ${missing}, which it belongs with`);
  const rival = guests.find((g) => conflict(instance, g.instance));
  if (rival) return say("conflict", `runs ${rival.instance.name}, which it conflicts with`);
  return undefined;
}

function stuck({ guest, from }: Going, sites: ReadonlyMap<string, Site>, roles: ReadonlyMap<string, Role>): Blocker {
  const { uuid, name } = guest.instance;
  const targets = [...sites.values()]
    .filter((site) => site.name !== from)
    .map((site) => ({ site: site.name, why: obstacle({ guest, from }, site, sites, roles) }));
  const grouped = Map.groupBy(targets, ({ why }) => why?.phrase ?? "");
  const platform = sites.get(from)?.host.inventory.platform ?? "its platform";
  const because = [...grouped].map(([phrase, of]) =>
    sentence(
      of.map(({ site }) => site),
      phrase,
    ),
  );
  const fixes = new Set(targets.map(({ why }) => why?.fix ?? ""));
  const reason: Reason = {
    rule: "no-place",
    subject: name,
    text: `${name} stops with ${from}, and ${platform} can start it nowhere else: ${because.join("; ") || "there is no other host"}`,
    fix: choices([
      ...(fixes.size === 1 ? fixes : []),
      `consent that it stays off until ${from} is back: --consent-stop ${name}`,
      `leave ${from} out`,
    ]),
  };
  const reasons = targets.map(({ site, why }) => ({
    host: site,
    reasons: why
      ? [
          {
            rule: why.rule,
            subject: name,
            text: `${name} cannot go to ${site}: ${sentence([site], why.phrase)}`,
            fix: why.fix,
          },
        ]
      : [],
  }));
  return { host: from, uuid, name, reason, targets: reasons, missingMib: 0 };
}

/** Those that it conflicts with and that look for a place at the same time may take every one of its own. */
function uncertain({ guest, from }: Going, going: readonly Going[], places: number): Reason[] {
  const { name } = guest.instance;
  const rivals = going.filter((one) => one.guest !== guest && conflict(one.guest.instance, guest.instance));
  if (rivals.length < places || rivals.length === 0) return [];
  const text = `${name} finds a place when ${from} goes out only if its platform starts it before what it conflicts with`;
  return [{ rule: "failover-order", subject: name, text, fix: "take out fewer hosts at once" }];
}

/** Units that run on where it goes and that the platform would stop and start elsewhere for its sake. */
function drivenOff({ guest }: Going, to: Site): Reason[] {
  const { name } = guest.instance;
  return [...to.guests.values()]
    .filter((g) => drivesOff(guest.instance, g.instance))
    .map((g) => ({
      rule: "replaces",
      subject: g.instance.name,
      text: `${g.instance.name} on ${to.name} is stopped and started elsewhere when ${name} comes there (Replaces)`,
      fix: "",
    }));
}
