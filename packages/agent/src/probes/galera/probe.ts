import type { QuorumMember, SystemHealth } from "@slipway/shared";
import { type Answer, fail, oneLine, whole } from "../answer.ts";
import { Findings, majority, member, quorumSet, reading } from "../findings.ts";
import type { Probe } from "../probe.ts";
import { digits } from "../xml.ts";

const STATUS = "SHOW GLOBAL STATUS LIKE 'wsrep_%'";
const DEFAULT_QUEUE = 100;
/** Nobody listens there: it is down. Every other error, such as a wrong password, leaves it unknown. */
const NOT_THERE = /^ERROR 200[23] \(HY000\)/m;

export interface GaleraAnswers {
  /** SHOW GLOBAL STATUS LIKE 'wsrep_%' of each node, tab-separated and without headings. */
  readonly nodes: ReadonlyMap<string, Answer>;
  /** Hosts of garbd: they vote and hold no data. */
  readonly arbitrators: readonly string[];
  /** Write sets that may wait to be applied on a node. */
  readonly maxQueue: number;
}

/** Every node by its own answer; they have to be of one cluster and of one mind. One that holds data must stay. */
export function parseGalera({ nodes, arbitrators, maxQueue }: GaleraAnswers): SystemHealth {
  return reading("galera", () => {
    const findings = new Findings();
    const seen: { name: string; values: ReadonlyMap<string, string> }[] = [];
    const members = [...nodes].map(([name, answer]): QuorumMember => {
      const not = (state: "down" | "unknown", note: string) => {
        if (state === "down") findings.degraded(`galera node ${name} is not up: ${note}`);
        else findings.unknown(`galera node ${name}: ${note}`);
        return member(name, name, { state, note });
      };
      if (answer.exitCode === 1 && NOT_THERE.test(answer.stderr)) return not("down", oneLine(answer.stderr));
      try {
        const values = readStatus(whole(answer, "wsrep status"));
        const { isIn, note } = judge(values, maxQueue);
        seen.push({ name, values });
        if (!isIn) return not("down", note);
        if (note !== "") findings.degraded(`galera node ${name}: ${note}`);
        return member(name, name, { note });
      } catch (thrown) {
        return not("unknown", thrown instanceof Error ? thrown.message : String(thrown));
      }
    });
    const [identity = "", ...others] = distinct(seen, "wsrep_cluster_state_uuid");
    if (others.length > 0) findings.degraded(`galera: nodes hold ${others.length + 1} different histories`);
    const primary = seen.filter((s) => s.values.get("wsrep_cluster_status") === "Primary");
    if (seen.length > 0 && primary.length === 0) findings.degraded("galera: no node is in a primary component");
    if (distinct(primary, "wsrep_cluster_conf_id").length > 1)
      findings.degraded("galera: nodes see different memberships");
    const sizes = distinct(primary, "wsrep_cluster_size");
    const size = sizes.length === 1 ? digits(sizes[0] ?? "", "wsrep_cluster_size") : undefined;
    members.push(...arbiters(size, primary.length, arbitrators, findings));
    const total = nodes.size + arbitrators.length;
    if (size !== undefined && size > total)
      findings.unknown(`galera has ${size} members, ${total} are named; complete the setting nodes or arbitrators`);
    const oneOf = arbitrators.length === 0 ? [] : [...nodes.keys()];
    return findings.health("galera", {
      identity,
      version: seen[0]?.values.get("wsrep_provider_version") ?? "",
      sets: [quorumSet("members", majority(total), members, { oneOf })],
    });
  });
}

function readStatus(text: string): ReadonlyMap<string, string> {
  const lines = text.split("\n");
  if (lines.pop() !== "") fail("the answer is cut off");
  const values = new Map<string, string>();
  for (const line of lines) {
    const [, name = "", value = ""] =
      /^(wsrep_[a-z0-9_]+)\t(.*)$/i.exec(line) ?? fail(`unknown line ${JSON.stringify(line)}`);
    values.set(name, value);
  }
  return values;
}

/** Is this node part of the cluster, and what is to be said of it? */
function judge(
  values: ReadonlyMap<string, string>,
  maxQueue: number,
): { readonly isIn: boolean; readonly note: string } {
  const value = (name: string) => values.get(name) ?? fail(`${name} is missing`);
  const one = (name: string, ...known: string[]) =>
    known.includes(value(name)) ? value(name) : fail(`${name} is ${JSON.stringify(value(name))}`);
  const status = one("wsrep_cluster_status", "Primary", "non-Primary", "Disconnected");
  const state = one(
    "wsrep_local_state_comment",
    "Synced",
    "Donor/Desynced",
    "Joined",
    "Joining",
    "Joining: preparing for State Transfer",
    "Joining: requested State Transfer",
    "Joining: receiving State Transfer",
    "Initialized",
    "Undefined",
    "Inconsistent",
    "Destroyed",
  );
  const [ready, connected] = [one("wsrep_ready", "ON", "OFF"), one("wsrep_connected", "ON", "OFF")];
  for (const name of ["wsrep_cluster_size", "wsrep_cluster_conf_id"])
    if (!/^\d{1,20}$/.test(value(name))) fail(`${name} is ${JSON.stringify(value(name))}`);
  if (!/^[0-9a-f-]{36}$/.test(value("wsrep_cluster_state_uuid"))) fail("wsrep_cluster_state_uuid is none");
  if (status !== "Primary" || connected === "OFF") return { isIn: false, note: `it is ${status}, ${state}` };
  if (state !== "Synced" && state !== "Donor/Desynced") return { isIn: false, note: `it is ${state}` };
  const queue = digits(value("wsrep_local_recv_queue"), "wsrep_local_recv_queue");
  const notes = [
    ...(state === "Synced" ? [] : [`it is ${state}`]),
    ...(ready === "ON" ? [] : ["it is not ready"]),
    ...(queue > maxQueue ? [`${queue} write sets wait to be applied (limit ${maxQueue})`] : []),
    ...(values.get("wsrep_flow_control_active") === "true" ? ["it holds the others back (flow control)"] : []),
  ];
  return { isIn: true, note: notes.join(", ") };
}

function distinct(seen: readonly { readonly values: ReadonlyMap<string, string> }[], name: string): string[] {
  return [...new Set(seen.map((s) => s.values.get(name) ?? ""))];
}

/** garbd answers no questions: whether it votes is what the size of the cluster leaves over. */
function arbiters(
  size: number | undefined,
  data: number,
  hosts: readonly string[],
  findings: Findings,
): QuorumMember[] {
  const voting = size === undefined ? undefined : size - data;
  if (voting !== undefined && voting < hosts.length)
    findings.degraded(`galera: ${Math.max(0, voting)} of ${hosts.length} arbitrators vote`);
  const state = voting === undefined ? "unknown" : voting >= hosts.length ? "up" : voting <= 0 ? "down" : "unknown";
  return hosts.map((host) => member(`garbd ${host}`, host, { state, roles: ["arbiter"] }));
}

/**
 * Galera with MariaDB's client. Settings: `nodes` (addresses of all nodes, with commas between), `defaults-file` (path of an option file
 * with user and password), `arbitrators` (hosts of garbd), `queue` (write sets that may wait, default 100).
 */
export const galeraProbe: Probe = {
  system: "galera",
  async ask(context) {
    const { settings } = context;
    const nodes = settings.list("nodes");
    const arbitrators = settings.list("arbitrators");
    const file = settings.path("defaults-file");
    const maxQueue = settings.count("queue", DEFAULT_QUEUE);
    settings.end();
    if (nodes.length === 0) fail("setting nodes is missing");
    const client = ["mariadb", ...(file === undefined ? [] : [`--defaults-extra-file=${file}`]), "--connect-timeout=3"];
    const answers = await Promise.all(
      nodes.map(async (node) => {
        const argv = [...client, "--batch", "--skip-column-names", `--host=${node}`, `--execute=${STATUS}`];
        return [node, await context.run(argv)] as const;
      }),
    );
    return parseGalera({ nodes: new Map(answers), arbitrators, maxQueue });
  },
};
