import type { SystemHealth } from "@slipway/shared";
import { z } from "zod";
import { type Answer, fail, said, whole } from "../answer.ts";
import { Findings, majority, member, quorumSet, reading } from "../findings.ts";
import { readJson } from "../json.ts";
import type { Probe } from "../probe.ts";

const node = z.string().regex(/^[A-Za-z0-9_.-]+@[A-Za-z0-9_.:-]+$/, "no name of a node");
const clusterStatus = z.object({
  disk_nodes: z.array(node),
  ram_nodes: z.array(node),
  running_nodes: z.array(node).min(1),
  alarms: z.array(z.unknown()),
  partitions: z.record(z.string(), z.unknown()),
  maintenance_status: z.record(node, z.string()),
  versions: z.record(node, z.object({ rabbitmq_version: z.string() })).default({}),
});
const checkAnswer = z.object({
  result: z.enum(["ok", "error"]),
  message: z.string().default(""),
  queues: z.array(z.object({ readable_name: z.string() })).default([]),
});

export interface RabbitAnswers {
  /** rabbitmqctl cluster_status */
  readonly status: Answer;
  /** Hosts that are asked about. */
  readonly going: readonly string[];
  /** rabbitmq-diagnostics check_if_node_is_quorum_critical, by node of the hosts that are to go. */
  readonly critical: ReadonlyMap<string, Answer>;
}

export function rabbitStatus(answer: Answer): z.output<typeof clusterStatus> {
  return readJson(whole(answer, "rabbitmqctl cluster_status"), "rabbitmqctl cluster_status", clusterStatus);
}

/** Nodes that run on one of these hosts, by full or by short name. */
export function nodesOn(status: z.output<typeof clusterStatus>, hosts: readonly string[]): string[] {
  const short = (name: string) => name.split(".")[0] ?? name;
  const all = [...status.disk_nodes, ...status.ram_nodes];
  return all.filter((one) => hosts.some((host) => short(hostOf(one)) === short(host)));
}

/**
 * All nodes run, without partitions and alarms and none in maintenance. Whether a node may go is RabbitMQ's own answer: it knows which
 * queues, streams and stores have no member to spare.
 */
export function parseRabbit(answers: RabbitAnswers): SystemHealth {
  return reading("rabbitmq", () => {
    const findings = new Findings();
    const status = rabbitStatus(answers.status);
    const names = [...status.disk_nodes, ...status.ram_nodes];
    if (names.length === 0 || new Set(names).size !== names.length)
      fail("rabbitmqctl cluster_status: its list of nodes is damaged");
    for (const name of status.running_nodes)
      if (!names.includes(name)) fail(`rabbitmqctl cluster_status: ${name} runs and is no member`);
    const members = names.map((name) => {
      if (!status.running_nodes.includes(name)) {
        findings.degraded(`rabbitmq node ${name} does not run`);
        return member(name, hostOf(name), { state: "down", note: "not running" });
      }
      const upkeep =
        status.maintenance_status[name] ?? fail(`rabbitmqctl cluster_status: maintenance status of ${name} is missing`);
      // Where it is in maintenance, rabbitmqctl wraps the words in colours, even in JSON.
      if (upkeep === "not under maintenance") return member(name, hostOf(name));
      findings.degraded(`rabbitmq node ${name} is in maintenance mode`);
      return member(name, hostOf(name), { note: "in maintenance mode" });
    });
    if (status.alarms.length > 0) findings.degraded(`rabbitmq has alarms: ${JSON.stringify(status.alarms)}`);
    const parted = Object.keys(status.partitions);
    if (parted.length > 0) findings.degraded(`rabbitmq is partitioned: ${parted.join(", ")}`);
    return findings.health("rabbitmq", {
      // Unless somebody set it, cluster_name is the name of whichever node is asked.
      identity: names.toSorted().join(","),
      version: Object.values(status.versions)[0]?.rabbitmq_version ?? "",
      sets: [quorumSet("nodes", majority(names.length), members)],
      ...verdict(status, answers),
    });
  });
}

function verdict(status: z.output<typeof clusterStatus>, { going, critical }: RabbitAnswers): Partial<SystemHealth> {
  if (going.length === 0) return {};
  const nodes = nodesOn(status, going);
  if (nodes.length > 1)
    return {
      goingVerdict: "unknown",
      goingReasons: [`rabbitmq answers for one node at a time, and ${nodes.join(", ")} would go`],
    };
  const reasons: string[] = [];
  for (const name of nodes) {
    try {
      const answer = critical.get(name) ?? fail(`${name} was not asked`);
      const found = readCheck(answer);
      if (found.result === "ok" && /maintenance mode/.test(found.message))
        fail(`${name} is in maintenance mode: the check does not apply`);
      if (found.result === "error")
        reasons.push(`${found.message} (${found.queues.map((q) => q.readable_name).join(", ") || "no queue named"})`);
    } catch (thrown) {
      return {
        goingVerdict: "unknown",
        goingReasons: [`rabbitmq: ${thrown instanceof Error ? thrown.message : String(thrown)}`],
      };
    }
  }
  return reasons.length > 0
    ? { goingVerdict: "deny", goingReasons: reasons }
    : { goingVerdict: "ok", goingReasons: [] };
}

/** A check that fails tells so in JSON on stderr, with exit status 69; a node that cannot be asked does so in words, with the same. */
function readCheck(answer: Answer): z.output<typeof checkAnswer> {
  const what = "check_if_node_is_quorum_critical";
  if (answer.exitCode === 69 && !answer.timedOut && answer.stderr.trimStart().startsWith("{")) {
    const found = readJson(answer.stderr, what, checkAnswer);
    return found.result === "error" ? found : fail(`${what}: ended with 69 and says ok`);
  }
  const found = readJson(whole(answer, what), what, checkAnswer);
  return found.result === "ok" ? found : fail(`${what}: ended with 0 and says ${said(answer)}`);
}

function hostOf(name: string): string {
  return name.slice(name.indexOf("@") + 1);
}

/** RabbitMQ 3.8 and later through its own tools. It takes no settings. */
export const rabbitProbe: Probe = {
  system: "rabbitmq",
  async ask(context) {
    const { going, settings } = context;
    settings.end();
    const status = await context.run(["rabbitmqctl", "cluster_status", "--formatter", "json"]);
    const critical = new Map<string, Answer>();
    if (going.length > 0)
      for (const name of nodesOn(rabbitStatus(status), going))
        critical.set(
          name,
          await context.run([
            "rabbitmq-diagnostics",
            "--node",
            name,
            "check_if_node_is_quorum_critical",
            "--formatter",
            "json",
          ]),
        );
    return parseRabbit({ status, going, critical });
  },
};
