import type { SystemHealth } from "@slipway/shared";
import { z } from "zod";
import { type Answer, fail, said, whole } from "../answer.ts";
import { Findings, majority, member, quorumSet, reading, reasonOf } from "../findings.ts";
import { count, readJson } from "../json.ts";

/** What `ceph --format=json` printed. */
export interface CephAnswers {
  readonly quorum: Answer;
  readonly nodes: Answer;
  readonly osds: Answer;
  readonly status: Answer;
  readonly going: readonly string[];
  /** ok-to-stop of all daemons of one kind on the hosts that are to go; only kinds that they have. */
  readonly okToStop: ReadonlyMap<DaemonKind, Answer>;
  /** pg dump pgs_brief; only where OSDs are to go. */
  readonly placements?: Answer;
  /** Health checks that the site does not mind. */
  readonly ignore: readonly string[];
}

export type DaemonKind = "osd" | "mon" | "mds";
const BUSY = 16;

/** Warnings that say nothing of data or quorum, so that a host may go in spite of them. Every other one counts. */
const HARMLESS =
  /^(?:AUTH_INSECURE_GLOBAL_ID_RECLAIM(?:_ALLOWED)?|MON_MSGR2_NOT_ENABLED|OSDMAP_FLAGS|OSD_FLAGS|TELEMETRY_CHANGED|RECENT_CRASH|RECENT_MGR_MODULE_CRASH|POOL_APP_NOT_ENABLED|POOL_TOO_MANY_PGS|POOL_TOO_FEW_PGS|POOL_PG_NUM_NOT_POWER_OF_TWO|TOO_MANY_PGS|TOO_FEW_PGS|PG_NOT_SCRUBBED|PG_NOT_DEEP_SCRUBBED|LARGE_OMAP_OBJECTS|OLD_CRUSH_TUNABLES)$/;
/** Whole, and perhaps being scrubbed or trimmed. */
const CLEAN = /^active\+clean(?:\+(?:scrubbing(?:\+deep)?|snaptrim(?:_wait)?|laggy|wait))*$/;

const name = z
  .string()
  .regex(/^[A-Za-z0-9_.-]+$/, "no name of a daemon or host")
  .regex(/^[^-]/, "no name");
const byHost = z.record(name, z.array(name)).default({});
const nodeList = z.object({ mon: byHost, osd: z.record(name, z.array(count)).default({}), mds: byHost, mgr: byHost });
const quorumStatus = z.object({
  quorum_names: z.array(name),
  quorum_leader_name: z.string().default(""),
  monmap: z.object({ fsid: z.guid(), mons: z.array(z.object({ name, addr: z.string() })).min(1) }),
});
const bit = z.union([z.literal(0), z.literal(1)]);
const osdDump = z.object({
  fsid: z.guid(),
  osds: z.array(z.object({ osd: count, up: bit, in: bit })),
  pools: z.array(z.object({ pool: count, min_size: count })),
});
/** In the place of an OSD where a placement group has none. */
const NO_OSD = 2147483647;
const placementDump = z.object({
  pg_ready: z.literal(true),
  pg_stats: z.array(z.object({ pgid: z.string().regex(/^\d+\.[0-9a-f]+$/), acting: z.array(count) })),
});
const status = z.object({
  fsid: z.guid(),
  health: z.object({
    status: z.enum(["HEALTH_OK", "HEALTH_WARN", "HEALTH_ERR"]),
    checks: z.record(
      z.string(),
      z.object({
        severity: z.enum(["HEALTH_WARN", "HEALTH_ERR"]),
        summary: z.object({ message: z.string() }),
      }),
    ),
  }),
  osdmap: z.object({ num_osds: count, num_up_osds: count, num_in_osds: count }),
  pgmap: z.object({ num_pgs: count, pgs_by_state: z.array(z.object({ state_name: z.string(), count })).default([]) }),
  mgrmap: z.object({ available: z.boolean() }),
});
const osdVerdict = z.object({
  ok_to_stop: z.boolean(),
  osds: z.array(count),
  num_ok_pgs: count,
  num_not_ok_pgs: count,
  unknown_pgs: z.array(z.string()).default([]),
});

export type CephNodes = z.output<typeof nodeList>;

export function cephNodes(answer: Answer): CephNodes {
  return readJson(whole(answer, "ceph node ls"), "ceph node ls", nodeList);
}

/** Ceph says yes about daemons that do not exist, so only those of its own list are asked about. */
export function daemonsOn(nodes: CephNodes, kind: DaemonKind | "mgr", hosts: readonly string[]): string[] {
  const short = (host: string) => host.split(".")[0] ?? host;
  const wanted = new Set(hosts.map(short));
  return Object.entries(nodes[kind]).flatMap(([host, ids]) => (wanted.has(short(host)) ? ids.map(String) : []));
}

/** Monitors by majority, OSDs one by one; whether hosts may go together is Ceph's own answer. */
export function parseCeph(answers: CephAnswers): SystemHealth {
  return reading("ceph", () => {
    const findings = new Findings();
    const quorum = readJson(whole(answers.quorum, "ceph quorum_status"), "ceph quorum_status", quorumStatus);
    const nodes = cephNodes(answers.nodes);
    const dump = readJson(whole(answers.osds, "ceph osd dump"), "ceph osd dump", osdDump);
    const now = readJson(whole(answers.status, "ceph status"), "ceph status", status);
    const { fsid, mons } = quorum.monmap;
    if (dump.fsid !== fsid || now.fsid !== fsid) fail("ceph: the answers come from different clusters");
    checks(now, answers.ignore, findings);
    const hostOf = (kind: "mon" | "osd", id: string) =>
      Object.entries(nodes[kind]).find(([, ids]) => ids.map(String).includes(id))?.[0];
    const monitors = mons.map((mon) => {
      const isIn = quorum.quorum_names.includes(mon.name);
      if (!isIn) findings.degraded(`ceph mon.${mon.name} is not in the quorum`);
      const roles = mon.name === quorum.quorum_leader_name ? ["leader"] : [];
      const address = hostOf("mon", mon.name) ?? mon.addr.replace(/:\d+\/\d+$/, "");
      return member(`mon.${mon.name}`, address, { state: isIn ? "up" : "down", roles });
    });
    const { num_osds: total, num_up_osds: up, num_in_osds: inside } = now.osdmap;
    if (dump.osds.length !== total || sum(dump.osds, "up") !== up || sum(dump.osds, "in") !== inside)
      findings.unknown("ceph: osd dump and status count different OSDs; it changes just now");
    // One that is out holds nothing any more.
    const disks = dump.osds
      .filter((osd) => osd.in === 1)
      .map((osd) => {
        if (osd.up === 0) findings.degraded(`ceph osd.${osd.osd} is down`);
        const host = hostOf("osd", String(osd.osd));
        // One that has never started has no host yet.
        if (host === undefined) findings.unknown(`ceph osd.${osd.osd} is on no host that is known`);
        return member(`osd.${osd.osd}`, host ?? "", { state: osd.up === 1 ? "up" : "down" });
      });
    const sets = [quorumSet("mons", majority(mons.length), monitors)];
    if (disks.length > 0) sets.push(quorumSet("osds", 0, disks));
    const short = () => shortOf(answers, dump, now.pgmap.num_pgs, daemonsOn(nodes, "osd", answers.going));
    return findings.health("ceph", { identity: fsid, sets, ...verdict(answers, nodes, short) });
  });
}

function sum(osds: z.output<typeof osdDump>["osds"], key: "up" | "in"): number {
  return osds.reduce((total, osd) => total + osd[key], 0);
}

function checks(now: z.output<typeof status>, ignore: readonly string[], findings: Findings): void {
  for (const [check, { severity, summary }] of Object.entries(now.health.checks))
    if (severity === "HEALTH_ERR" || !(HARMLESS.test(check) || ignore.includes(check)))
      findings.degraded(`ceph ${check}: ${summary.message}`);
  const { num_pgs: total, pgs_by_state: states } = now.pgmap;
  if (states.reduce((n, s) => n + s.count, 0) !== total)
    findings.unknown("ceph: its counts of placement groups differ");
  for (const { state_name: state, count: pgs } of states)
    if (!CLEAN.test(state))
      findings.degraded(`ceph: ${pgs} placement ${pgs === 1 ? "group is" : "groups are"} ${state}`);
  if (!now.mgrmap.available) findings.degraded("ceph has no active mgr");
}

/**
 * Placement groups that would be left with fewer OSDs than their pool needs: counted here as well, for releases in which ok-to-stop
 * overlooks some.
 */
function shortOf(
  { placements }: CephAnswers,
  { osds, pools }: z.output<typeof osdDump>,
  total: number,
  ids: readonly string[],
): string[] {
  const what = "ceph pg dump";
  const found = readJson(whole(placements ?? fail(`${what}: not asked`), what), what, placementDump).pg_stats;
  if (new Set(found.map((pg) => pg.pgid)).size !== total || found.length !== total)
    fail(`${what}: ${found.length} placement groups, and status counts ${total}; it changes just now`);
  const needed = new Map(pools.map(({ pool, min_size }) => [pool, min_size]));
  const known = new Set(osds.map((one) => one.osd));
  const going = new Set(ids.map(Number));
  return found.flatMap(({ pgid, acting }) => {
    const least = needed.get(Number.parseInt(pgid, 10)) ?? fail(`${what}: ${pgid} is of no pool that is known`);
    const there = acting.filter((osd) => osd !== NO_OSD);
    for (const osd of there) if (!known.has(osd)) fail(`${what}: ${pgid} is on osd.${osd}, which is not known`);
    const left = there.filter((osd) => !going.has(osd)).length;
    return left < there.length && left < least ? [pgid] : [];
  });
}

function verdict(answers: CephAnswers, nodes: CephNodes, short: () => string[]): Partial<SystemHealth> {
  const { going, okToStop } = answers;
  if (going.length === 0) return {};
  const denials: string[] = [];
  try {
    for (const kind of ["osd", "mon", "mds"] as const) {
      const ids = daemonsOn(nodes, kind, going);
      if (ids.length === 0) continue;
      const answer = okToStop.get(kind) ?? fail(`ceph ${kind} ok-to-stop: not asked`);
      const denial = kind === "osd" ? osdDenial(answer, ids) : plainDenial(answer, kind);
      if (denial !== "") denials.push(denial);
      const lost = kind === "osd" && denial === "" ? short() : [];
      if (lost.length > 0)
        denials.push(
          `ceph: osd ok-to-stop says yes, but ${lost.length} placement ${lost.length === 1 ? "group" : "groups"} would have fewer OSDs than min_size (${lost.slice(0, 5).join(", ")})`,
        );
    }
  } catch (thrown) {
    return { goingVerdict: "unknown", goingReasons: [reasonOf(thrown)] };
  }
  const managers = Object.values(nodes.mgr).flat().length;
  if (managers > 0 && daemonsOn(nodes, "mgr", going).length === managers)
    denials.push("ceph: no mgr would be left; add one on another host");
  return { goingVerdict: denials.length > 0 ? "deny" : "ok", goingReasons: denials };
}

/** Status and answer have to say the same, about exactly the OSDs that were asked for. */
function osdDenial(answer: Answer, ids: readonly string[]): string {
  const what = "ceph osd ok-to-stop";
  const found = readJson(whole(answer, what, [0, BUSY]), what, osdVerdict);
  const asked = [...ids].map(Number).sort((a, b) => a - b);
  if (String(found.osds.toSorted((a, b) => a - b)) !== String(asked))
    fail(`${what}: answered about ${found.osds.join(", ")}, asked about ${asked.join(", ")}`);
  if (found.ok_to_stop !== (answer.exitCode === 0)) fail(`${what}: exit status and answer differ`);
  if (found.unknown_pgs.length > 0)
    fail(`${what}: the state of ${found.unknown_pgs.length} placement groups is unknown`);
  if (found.ok_to_stop !== (found.num_not_ok_pgs === 0)) fail(`${what}: its answer contradicts itself`);
  return found.ok_to_stop ? "" : `ceph: ${found.num_not_ok_pgs} placement groups are or would become inactive`;
}

function plainDenial(answer: Answer, kind: DaemonKind): string {
  if (answer.exitCode === BUSY && /EBUSY/.test(answer.stderr))
    return `ceph ${kind}: ${said(answer).replace(/^Error EBUSY: /, "")}`;
  whole(answer, `ceph ${kind} ok-to-stop`);
  // A yes is said in words, on stderr.
  if (!/should be preserved|safe to stop|ok to stop/i.test(`${answer.stderr}${answer.stdout}`))
    fail(`ceph ${kind} ok-to-stop: ended with 0 and says ${JSON.stringify(said(answer))}`);
  return "";
}
