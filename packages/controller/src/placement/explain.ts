import { naturalCompare } from "@slipway/shared";
import type { PoolConfig } from "../domain/pool.ts";
import type { Reason } from "../domain/words.ts";
import { type Arranger, type Leaver, rivals } from "./arrange.ts";
import { stopProblem } from "./duties.ts";
import type { Obstacle } from "./facts.ts";
import { misfits, tieReason, ties } from "./obstacles.ts";
import { type Site, shortages } from "./room.ts";
import { memoryOf } from "./settle.ts";
import { choices, listText, sentence, sizeText } from "./text.ts";
import type { Blocker } from "./types.ts";

/** Different obstacles that one sentence names. */
const MAX_SHOWN = 6;

/** Why this one cannot leave, all others being where they go; and what would help. */
export function explain(leaver: Leaver, after: ReadonlyMap<string, Site>, arranger: Arranger): Blocker {
  const { instance, settled } = leaver.guest;
  const from = after.get(leaver.from);
  const about = { host: leaver.from, uuid: instance.uuid, name: instance.name };
  const stoppable = stopProblem(instance, "shutdown-restart", leaver.from) === undefined;
  const consent = stoppable ? `consent to stop it: --consent-stop ${instance.name}` : "";
  const leaveOut = `leave ${leaver.from} out`;
  if (settled.problem) return { ...about, reason: settled.problem, targets: [], missingMib: 0 };
  const tied = from ? ties(instance, from.host) : [];
  const first = tied[0];
  if (first) {
    const phrase = tied.map((o) => o.phrase).join(", and ");
    const reason = tieReason(instance, leaver.from, { ...first, phrase, fix: choices([first.fix, consent, leaveOut]) });
    return { ...about, reason, targets: [], missingMib: 0 };
  }

  const others = [...after.values()]
    .filter((s) => s.name !== leaver.from)
    .sort((a, b) => naturalCompare(a.name, b.name));
  const title = `${instance.name} (${sizeText(memoryOf(instance))})`;
  if (others.length === 0) {
    const text = `${title} has nowhere to go: there is no other host in the cluster of ${leaver.from}`;
    const reason = { rule: "no-target", subject: instance.name, text, fix: choices([consent, leaveOut]) };
    return { ...about, reason, targets: [], missingMib: 0 };
  }
  const anchors = [...arranger.anchors([leaver], after)];
  const found = others.map((site) => ({ site, obstacles: obstacles(leaver, site, anchors, arranger) }));
  // What one target alone would need is the shortest way out.
  let least: { host: string; mib: number } | undefined;
  for (const { site, obstacles: list } of found) {
    const [only] = list;
    if (list.length !== 1 || only?.missing === undefined) continue;
    if (!least || only.missing < least.mib) least = { host: site.name, mib: only.missing };
  }
  const byPhrase = Map.groupBy(found, (f) => f.obstacles[0]?.phrase ?? "");
  const said = [...byPhrase].map(([phrase, list]) =>
    sentence(
      list.map((f) => f.site.name),
      phrase,
    ),
  );
  const shown = said.length > MAX_SHOWN ? [...said.slice(0, MAX_SHOWN), "and so on"] : said;
  const common = new Set(found.map((f) => f.obstacles[0]?.fix ?? ""));
  const reason: Reason = {
    rule: "no-target",
    subject: instance.name,
    text: `${title} fits on none of ${listText(others.map((s) => s.name))}: ${shown.join("; ")}`,
    fix: choices([
      ...(common.size === 1 ? [...common] : []),
      least ? `free ${sizeText(least.mib)} on ${least.host}` : "",
      consent,
      leaveOut,
    ]),
  };
  const targets = found.map(({ site, obstacles: list }) => ({
    host: site.name,
    reasons: list.map((o) => ({
      rule: o.rule,
      subject: instance.name,
      text: `${instance.name} cannot go to ${site.name}: ${sentence([site.name], o.phrase)}`,
      fix: o.fix,
    })),
  }));
  return { ...about, reason, targets, missingMib: least?.mib ?? 0 };
}

/** At least one; `missing` (MiB) where it is memory. */
function obstacles(
  leaver: Leaver,
  site: Site,
  anchors: readonly string[],
  arranger: Arranger,
): readonly (Obstacle & { missing?: number })[] {
  const { guest, from, avoid } = leaver;
  const { instance, settled } = guest;
  const role = arranger.role(site.name);
  if (role.is === "source") return [{ rule: "source", phrase: "is being emptied itself", fix: "" }];
  if (role.is === "closed") return [closedObstacle(site.name, role.because)];
  const out: (Obstacle & { missing?: number })[] = [];
  const tried = avoid.find((t) => t.host === site.name);
  if (tried) out.push({ rule: "tried", phrase: `was tried (${tried.why})`, fix: "" });
  const source = arranger.sites.get(from);
  if (source) out.push(...misfits(instance, source.host, site.host, arranger.pool, settled.policy));
  if (settled.group && anchors.length > 0 && !anchors.includes(site.name))
    out.push({
      rule: "group",
      phrase: `is not ${listText(anchors)}, where the others of group ${settled.group} are`,
      fix: "",
    });
  const [rival] = rivals(site, guest);
  if (rival) {
    const isGroup = settled.apart !== "" && rival.settled.apart === settled.apart;
    const why = isGroup ? `is kept apart from it (${settled.apart})` : "it conflicts with";
    out.push({ rule: "apart", phrase: `runs ${rival.instance.name}, which ${why}`, fix: "" });
  }
  for (const { kind, missing, ...s } of shortages(site.free, guest.arrival))
    out.push(kind === "memory" ? { ...s, missing } : s);
  if (out.length === 0 && arranger.reserved)
    out.push({
      rule: "spare-hosts",
      phrase: "has room only as a reserve for the loss of another host",
      fix: "lower capacity.spareHosts in the pool file",
    });
  if (out.length === 0) out.push({ rule: "not-found", phrase: "is full in every arrangement that was tried", fix: "" });
  return out;
}

function closedObstacle(host: string, because: Reason): Obstacle {
  const own = because.text.startsWith(`${host} `);
  const phrase = own ? because.text.slice(host.length + 1) : `is closed (${because.text})`;
  return { rule: because.rule, phrase, fix: because.fix };
}

/** The reserve is missing whatever moves; the same for each of the hosts that are out. */
export function noReserve(out: readonly Site[], pool: PoolConfig): Blocker[] {
  const n = pool.capacity.spareHosts;
  const reason: Reason = {
    rule: "spare-hosts",
    subject: out[0]?.host.labels["cluster"] || "default",
    text: `without ${listText(out.map((s) => s.name))} the hosts that take instances could not take in the loss of ${n === 1 ? "one" : n} more`,
    fix: "lower capacity.spareHosts in the pool file, or add a host",
  };
  return out.map(({ name: host }) => ({ host, uuid: "", name: "", reason, targets: [], missingMib: 0 }));
}
