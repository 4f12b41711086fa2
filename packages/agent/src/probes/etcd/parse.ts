import type { QuorumMember, SystemHealth } from "@slipway/shared";
import { z } from "zod";
import { type Answer, fail, whole } from "../answer.ts";
import { Findings, majority, member, quorumSet, reading } from "../findings.ts";
import { readJson, uint64 } from "../json.ts";

/** What etcd's API answered (v3, JSON of its gRPC gateway, in which 64-bit numbers are strings). */
export interface EtcdAnswers {
  /** POST /v3/cluster/member/list */
  readonly members: Answer;
  /** POST /v3/maintenance/alarm with action GET; needs a quorum. */
  readonly alarms: Answer;
  /** By client URL. */
  readonly perMember: ReadonlyMap<string, MemberAnswers>;
  /** How many log entries a member may be behind. */
  readonly maxLag: number;
}

export interface MemberAnswers {
  /** POST /v3/maintenance/status */
  readonly status: Answer;
  /** GET /health */
  readonly health: Answer;
}

const header = z.object({ cluster_id: uint64, member_id: uint64 });
const memberList = z.object({
  header,
  members: z
    .array(
      z.object({
        ID: uint64,
        name: z.string().default(""),
        peerURLs: z.array(z.url()).min(1),
        // Absent as long as the member has never started.
        clientURLs: z.array(z.url()).default([]),
        isLearner: z.boolean().default(false),
      }),
    )
    .min(1),
});
// The gateway leaves out what is zero: no leader, no errors, no learner.
const memberStatus = z.object({
  header,
  version: z.string(),
  leader: uint64.default("0"),
  raftIndex: uint64,
  raftTerm: uint64,
  raftAppliedIndex: uint64.optional(),
  errors: z.array(z.string()).default([]),
  isLearner: z.boolean().default(false),
});
const alarmList = z.object({
  alarms: z.array(z.object({ memberID: uint64, alarm: z.string() })).default([]),
});
const healthAnswer = z.object({ health: z.enum(["true", "false"]), reason: z.string().default("") });

type Listed = z.output<typeof memberList>["members"][number];
type Status = z.output<typeof memberStatus>;

/** The URL at which a member is asked; undefined when it has never started. */
export function clientUrl(listed: Pick<Listed, "clientURLs">): string | undefined {
  return listed.clientURLs[0]?.replace(/\/+$/, "");
}

/** The member list alone, to know whom to ask. Throws Unreadable. */
export function etcdMembers(answer: Answer): z.output<typeof memberList> {
  const list = readJson(whole(answer, "etcd member list", [200]), "etcd member list", memberList);
  for (const key of ["ID", "name"] as const) {
    const names = list.members.map((m) => m[key]).filter((name) => name !== "");
    if (new Set(names).size !== names.length) fail(`etcd member list: two members with the same ${key}`);
  }
  return list;
}

/** Of voters a majority must stay up; learners have no vote, a member that has never started has one. */
export function parseEtcd(answers: EtcdAnswers): SystemHealth {
  return reading("etcd", () => {
    const { header: own, members: listed } = etcdMembers(answers.members);
    const findings = new Findings();
    const seen: { listed: Listed; status: Status }[] = [];
    const members = listed.map((one) => {
      const found = look(one, own.cluster_id, answers.perMember, findings);
      if (found.status) seen.push({ listed: one, status: found.status });
      return found.member;
    });
    compare(seen, answers.maxLag, findings);
    findings.attempt(() => alarmed(answers.alarms, listed, findings));
    const leaders = new Set(seen.map((s) => s.status.leader));
    const [leader] = leaders;
    const voters = listed.filter((m) => !m.isLearner).length;
    return findings.health("etcd", {
      identity: hex(own.cluster_id),
      version: seen.find((s) => s.listed.ID === own.member_id)?.status.version ?? "",
      sets: [
        quorumSet(
          "members",
          majority(voters),
          members.map((m, i) =>
            leaders.size === 1 && listed[i]?.ID === leader ? { ...m, roles: [...m.roles, "leader"] } : m,
          ),
        ),
      ],
    });
  });
}

function look(
  listed: Listed,
  cluster: string,
  perMember: EtcdAnswers["perMember"],
  findings: Findings,
): { readonly member: QuorumMember; readonly status?: Status } {
  const url = clientUrl(listed);
  const name = listed.name || hex(listed.ID);
  const host = hostOf(url ?? listed.peerURLs[0] ?? "");
  const base = { votes: listed.isLearner ? 0 : 1, roles: listed.isLearner ? ["learner"] : [] };
  const not = (state: "down" | "unknown", note: string) => {
    if (state === "down") findings.degraded(`etcd member ${name} (${host}) is not up: ${note}`);
    else findings.unknown(`etcd member ${name} (${host}): ${note}`);
    return { member: member(name, host, { ...base, state, note }) };
  };
  if (url === undefined) return not("down", "it has never started");
  if (listed.isLearner) findings.degraded(`etcd member ${name} is a learner; promote or remove it`);
  const answers = perMember.get(url);
  if (answers === undefined) return not("unknown", "it was not asked");
  // Nobody listens there: it is down. No answer may as well be the network between here and there.
  if (answers.status.problem !== "") return not("down", answers.status.problem);
  let status: Status;
  try {
    status = readJson(whole(answers.status, "status", [200]), "status", memberStatus);
  } catch (thrown) {
    return not("unknown", thrown instanceof Error ? thrown.message : String(thrown));
  }
  if (status.header.cluster_id !== cluster)
    return not("unknown", `${url} is answered by cluster ${hex(status.header.cluster_id)}, not ${hex(cluster)}`);
  if (status.header.member_id !== listed.ID)
    return not("unknown", `${url} is answered by member ${hex(status.header.member_id)}, not ${hex(listed.ID)}`);
  for (const error of status.errors) findings.degraded(`etcd member ${name}: ${error.trim()}`);
  if (BigInt(status.leader) === 0n) return { ...not("down", "it sees no leader"), status };
  const problem = findings.attempt(() => unhealthy(answers.health)) ?? "/health cannot be read";
  if (problem !== "") findings.degraded(`etcd member ${name}: ${problem}`);
  return { member: member(name, host, { ...base, note: problem }), status };
}

/** What /health complains of; empty when it does not. 503 is how it says false. */
function unhealthy(answer: Answer): string {
  const { health, reason } = readJson(whole(answer, "/health", [200, 503]), "/health", healthAnswer);
  if (health === "true" && answer.exitCode === 200) return "";
  return reason === "" ? "/health says false" : `/health says ${reason}`;
}

/** All have to follow one leader in one term, and to keep up with it. */
function compare(seen: readonly { listed: Listed; status: Status }[], maxLag: number, findings: Findings): void {
  const leaders = new Set(seen.map((s) => s.status.leader).filter((id) => BigInt(id) !== 0n));
  if (leaders.size > 1) findings.degraded(`etcd: members follow ${leaders.size} different leaders`);
  if (leaders.size === 0) findings.degraded("etcd has no leader");
  const terms = new Set(seen.map((s) => s.status.raftTerm));
  if (terms.size > 1) findings.degraded(`etcd: members are in different terms (${[...terms].join(", ")})`);
  const [head] = seen.map((s) => BigInt(s.status.raftIndex)).sort((a, b) => (a < b ? 1 : -1));
  for (const { listed, status } of seen) {
    const index = BigInt(status.raftIndex);
    const behind = (head ?? index) - BigInt(status.raftAppliedIndex ?? status.raftIndex);
    if (behind > BigInt(maxLag))
      findings.degraded(
        `etcd member ${listed.name || hex(listed.ID)} is ${behind} log entries behind (limit ${maxLag})`,
      );
  }
}

function alarmed(answer: Answer, listed: readonly Listed[], findings: Findings): void {
  const { alarms } = readJson(whole(answer, "etcd alarms", [200]), "etcd alarms", alarmList);
  for (const { memberID, alarm } of alarms) {
    const name = listed.find((m) => m.ID === memberID)?.name || hex(memberID);
    findings.degraded(`etcd alarm ${alarm} on member ${name}`);
  }
}

/** Ids as etcdctl prints them. */
export function hex(id: string): string {
  return BigInt(id).toString(16);
}

/** Host name or address of a URL, without the brackets of IPv6. */
export function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[(.*)\]$/, "$1") : fail(`${url} is no URL`);
}
