import type { QuorumMember, SystemHealth } from "@slipway/shared";
import { type Answer, fail, said, whole } from "../answer.ts";
import { Findings, majority, member, quorumSet, reading } from "../findings.ts";
import type { Probe } from "../probe.ts";
import { hostOf } from "./parse.ts";

/** What etcdctl printed under ETCDCTL_API=2. */
export interface EtcdV2Answers {
  /** etcdctl member list */
  readonly members: Answer;
  /** etcdctl cluster-health */
  readonly health: Answer;
}

interface Listed {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly isLeader: boolean;
}

const LISTED = /^([0-9a-f]{1,16}): name=(\S+) peerURLs=(\S+) clientURLs=(\S*) isLeader=(true|false)$/;
const UNSTARTED = /^([0-9a-f]{1,16})\[unstarted\]: peerURLs=(\S+)$/;
const HEALTHY = /^member ([0-9a-f]{1,16}) is healthy: got healthy result from \S+$/;
const NOT_HEALTHY = /^member ([0-9a-f]{1,16}) is (unhealthy: got unhealthy result from \S+|unreachable: .+)$/;
/** Said before the member's own line. */
const FAILED = /^failed to check the health of member [0-9a-f]{1,16} on /;
/** Old releases call a cluster healthy when a single member is: the last line is known, and never believed. */
const LAST = /^cluster (?:is (?:healthy|degraded|unavailable|unhealthy)|may be unhealthy: .*)$/;

/**
 * The v2 view of a cluster: each member of the list by its own line, a majority of all of them. It knows no learners: where there may be
 * some, read v3.
 */
export function parseEtcdV2(answers: EtcdV2Answers): SystemHealth {
  return reading("etcd-v2", () => {
    const listed = readList(answers.members);
    const findings = new Findings();
    const states = readHealth(answers.health);
    const members = listed.map((one): QuorumMember => {
      const found = states.get(one.id) ?? fail(`etcd cluster-health says nothing of member ${one.name} (${one.id})`);
      if (found !== "") findings.degraded(`etcd member ${one.name} (${one.host}) is ${found}`);
      const state = found === "" ? "up" : "down";
      return member(one.name, one.host, { state, note: found, roles: one.isLeader ? ["leader"] : [] });
    });
    for (const id of states.keys())
      if (!listed.some((one) => one.id === id))
        fail(`etcd cluster-health tells of member ${id}, the member list does not`);
    if (!listed.some((one) => one.isLeader)) findings.degraded("etcd has no leader");
    return findings.health("etcd-v2", { sets: [quorumSet("members", majority(listed.length), members)] });
  });
}

function readList(answer: Answer): Listed[] {
  const listed = lines(whole(answer, "etcdctl member list")).map((line): Listed => {
    const [, unstarted, peer = ""] = UNSTARTED.exec(line) ?? [];
    if (unstarted !== undefined) return { id: unstarted, name: unstarted, host: first(peer), isLeader: false };
    const [, id = "", name = "", peers = "", clients = "", leader] =
      LISTED.exec(line) ?? fail(`etcdctl member list: unknown line ${JSON.stringify(line)}`);
    return { id, name, host: first(clients || peers), isLeader: leader === "true" };
  });
  if (listed.length === 0) fail("etcdctl member list: no member");
  if (new Set(listed.map((m) => m.id)).size !== listed.length) fail("etcdctl member list: a member twice");
  if (listed.filter((m) => m.isLeader).length > 1) fail("etcdctl member list: two leaders");
  return listed;
}

/** By id, what is wrong with it; empty when it is healthy. The exit status is 5 as soon as one is not. */
function readHealth(answer: Answer): Map<string, string> {
  const states = new Map<string, string>();
  const text = whole(answer, "etcdctl cluster-health", [0, 5]);
  let last = "";
  for (const line of lines(text)) {
    if (last !== "") fail(`etcdctl cluster-health: a line after the last one: ${JSON.stringify(line)}`);
    const [, healthy] = HEALTHY.exec(line) ?? [];
    const [, sick, why = ""] = NOT_HEALTHY.exec(line) ?? [];
    const id = healthy ?? sick;
    if (id !== undefined) {
      if (states.has(id)) fail(`etcdctl cluster-health: member ${id} twice`);
      states.set(id, why);
    } else if (LAST.test(line)) last = line;
    else if (!FAILED.test(line)) fail(`etcdctl cluster-health: unknown line ${JSON.stringify(line)}`);
  }
  if (last === "") fail(`etcdctl cluster-health: the answer is cut off (${said(answer)})`);
  return states;
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}

function first(urls: string): string {
  return hostOf(urls.split(",")[0] ?? "");
}

/**
 * etcd's v2 API as text, for sites that run it with etcdctl 3.5 or older. Settings: `endpoint`, `ca`, `cert`, `key` as for etcd.
 */
export const etcdV2Probe: Probe = {
  system: "etcd-v2",
  async ask(context) {
    const { settings } = context;
    const endpoint = settings.url("endpoint", "http://127.0.0.1:2379");
    const options = (["ca", "cert", "key"] as const).flatMap((name) => {
      const path = settings.path(name);
      return path === undefined ? [] : [`--${name}-file`, path];
    });
    settings.end();
    const etcdctl = ["etcdctl", "--endpoints", endpoint, ...options];
    const env = { ETCDCTL_API: "2" };
    const members = await context.run([...etcdctl, "member", "list"], { env });
    const health = await context.run([...etcdctl, "cluster-health"], { env });
    return parseEtcdV2({ members, health });
  },
};
