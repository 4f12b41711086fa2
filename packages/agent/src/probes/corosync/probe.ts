import type { QuorumMember, SystemHealth } from "@slipway/shared";
import { type Answer, fail, whole } from "../answer.ts";
import { Findings, majority, member, quorumSet, reading } from "../findings.ts";
import type { Probe } from "../probe.ts";
import { digits } from "../xml.ts";

export interface CorosyncAnswers {
  /** corosync-quorumtool -s: 0 quorate, 2 not */
  readonly quorum: Answer;
  /** corosync-cmapctl nodelist. */
  readonly nodes: Answer;
  /** corosync-cmapctl quorum. */
  readonly config: Answer;
  /** Whether a node of a cluster of two may go: only where fencing works, which corosync does not know. */
  readonly twoNode: "deny" | "allow";
}

interface Node {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly votes: number;
}

const FLAGS = /^(?:Quorate|2Node|WaitForAll|LastManStanding|AutoTieBreaker|AllowDownscale|Qdevice)$/;

/**
 * Votes of the nodes of the node list, and of a quorum device, against what corosync says it needs. Features that let a cluster live on
 * with less (2Node, AutoTieBreaker, LastManStanding) are not counted on for planned work.
 */
export function parseCorosync(answers: CorosyncAnswers): SystemHealth {
  return reading("corosync", () => {
    const findings = new Findings();
    const status = readStatus(whole(answers.quorum, "corosync-quorumtool", [0, 2]));
    const nodes = readNodes(cmap(answers.nodes, "nodelist"));
    const config = cmap(answers.config, "quorum");
    if (status.isQuorate !== (answers.quorum.exitCode === 0))
      fail("corosync-quorumtool: exit status and answer differ");
    if (!status.isQuorate) findings.degraded("corosync: this partition is not quorate");
    if (status.highest !== status.expected)
      findings.degraded(`corosync expects ${status.expected} votes and knew ${status.highest} once`);
    const members = nodes.map((node): QuorumMember => {
      const votes = status.present.get(node.id);
      if (votes === undefined) findings.degraded(`corosync node ${node.name} (${node.address}) is not there`);
      else if (votes !== node.votes)
        fail(`corosync: node ${node.name} has ${votes} votes, its configuration says ${node.votes}`);
      return member(node.name, node.name, { votes: node.votes, state: votes === undefined ? "down" : "up" });
    });
    for (const id of status.present.keys())
      if (!nodes.some((n) => n.id === id)) fail(`corosync: node ${id} is there and not in the node list`);
    if (config.has("quorum.device.model")) members.push(device(status, config, findings));
    const votes = members.reduce((sum, m) => sum + m.votes, 0);
    if (votes !== status.expected) fail(`corosync expects ${status.expected} votes, its members have ${votes}`);
    const present = [...status.present.values()].reduce((sum, n) => sum + n, status.deviceVotes ?? 0);
    if (present !== status.total) fail(`corosync counts ${status.total} votes, those listed have ${present}`);
    const isPair = status.flags.includes("2Node");
    const needed =
      isPair && answers.twoNode === "deny" ? votes : isPair ? status.quorum : Math.max(status.quorum, majority(votes));
    return findings.health("corosync", { sets: [quorumSet("members", needed, members)] });
  });
}

interface Status {
  readonly isQuorate: boolean;
  readonly expected: number;
  readonly highest: number;
  readonly total: number;
  readonly quorum: number;
  readonly flags: readonly string[];
  /** Votes by node id. */
  readonly present: ReadonlyMap<string, number>;
  readonly deviceVotes?: number;
}

function readStatus(text: string): Status {
  const value = (name: string) => {
    const found = [...text.matchAll(new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, "gm"))];
    return found.length === 1
      ? (found[0]?.[1] ?? "")
      : fail(`corosync-quorumtool: ${name} is told ${found.length} times`);
  };
  const number = (name: string) => digits(value(name), name);
  const quorate = value("Quorate");
  if (quorate !== "Yes" && quorate !== "No") fail(`corosync-quorumtool: Quorate is ${JSON.stringify(quorate)}`);
  const flags = value("Flags").split(/\s+/).filter(Boolean);
  for (const flag of flags)
    if (!FLAGS.test(flag)) fail(`corosync-quorumtool: flag ${JSON.stringify(flag)} is not known`);
  if (flags.includes("Quorate") !== (quorate === "Yes")) fail("corosync-quorumtool: Quorate and its flag differ");
  const [, table = ""] =
    /^ +Nodeid +Votes(?: +Qdevice)? +Name\n([\s\S]*)$/m.exec(text) ??
    fail("corosync-quorumtool: the list of members is missing");
  const present = new Map<string, number>();
  let deviceVotes: number | undefined;
  for (const line of table.split("\n").filter((l) => l.trim() !== "")) {
    const [, id = "", votes = ""] =
      /^ +(\d+) +(\d+)(?: +(?:NR|[AVMW,NR]+))? +\S.*$/.exec(line) ??
      fail(`corosync-quorumtool: unknown line ${JSON.stringify(line)}`);
    if (id === "0") deviceVotes = digits(votes, "Votes");
    else if (present.has(id)) fail(`corosync-quorumtool: node ${id} twice`);
    else present.set(id, digits(votes, "Votes"));
  }
  if (present.size !== number("Nodes"))
    fail(`corosync-quorumtool: ${present.size} nodes listed, Nodes says ${number("Nodes")}`);
  return {
    isQuorate: quorate === "Yes",
    expected: number("Expected votes"),
    highest: number("Highest expected"),
    total: number("Total votes"),
    quorum: digits(
      value("Quorum")
        .replace(/ Activity blocked$/, "")
        .trim(),
      "Quorum",
    ),
    flags,
    present,
    ...(deviceVotes === undefined ? {} : { deviceVotes }),
  };
}

/** corosync-cmapctl: "key (type) = value" */
function cmap(answer: Answer, prefix: string): Map<string, string> {
  const lines = whole(answer, `corosync-cmapctl ${prefix}`)
    .split("\n")
    .filter((line) => line !== "");
  return new Map(
    lines.map((line) => {
      const [, key = "", value = ""] =
        /^(\S+) \([a-z0-9]+\) = (.*)$/.exec(line) ?? fail(`corosync-cmapctl: unknown line ${JSON.stringify(line)}`);
      return key.startsWith(`${prefix}.`) ? [key, value] : fail(`corosync-cmapctl: unknown key ${JSON.stringify(key)}`);
    }),
  );
}

function readNodes(map: ReadonlyMap<string, string>): Node[] {
  const at = new Set([...map.keys()].flatMap((key) => /^nodelist\.node\.(\d+)\./.exec(key)?.[1] ?? []));
  if (at.size === 0) fail("corosync: its node list is empty");
  const nodes = [...at].map((n) => {
    const value = (key: string) => map.get(`nodelist.node.${n}.${key}`);
    const address = value("ring0_addr") ?? fail(`corosync: node ${n} of the node list has no address`);
    const id = value("nodeid") ?? fail(`corosync: node ${n} of the node list has no id`);
    return { id, name: value("name") ?? address, address, votes: digits(value("quorum_votes") ?? "1", "quorum_votes") };
  });
  if (new Set(nodes.map((n) => n.id)).size !== nodes.length) fail("corosync: two nodes with one id");
  const named = nodes.filter((n) => n.name !== n.address).length;
  if (named !== 0 && named !== nodes.length) fail("corosync: some nodes of the node list have no name");
  return nodes;
}

function device(status: Status, config: ReadonlyMap<string, string>, findings: Findings): QuorumMember {
  const host = config.get("quorum.device.net.host") ?? "quorum device";
  const votes = digits(config.get("quorum.device.votes") ?? "1", "quorum.device.votes");
  const isUp = status.flags.includes("Qdevice") && status.deviceVotes === votes;
  if (!isUp) findings.degraded(`corosync: the quorum device on ${host} does not vote`);
  return member("qdevice", host, { votes, state: isUp ? "up" : "down", roles: ["witness"] });
}

/** corosync 3. Setting: `two-node`, deny (default) or allow. */
export const corosyncProbe: Probe = {
  system: "corosync",
  async ask(context) {
    const twoNode = context.settings.choice("two-node", ["deny", "allow"], "deny");
    context.settings.end();
    const quorum = await context.run(["corosync-quorumtool", "-s"]);
    const nodes = await context.run(["corosync-cmapctl", "nodelist."]);
    const config = await context.run(["corosync-cmapctl", "quorum."]);
    return parseCorosync({ quorum, nodes, config, twoNode });
  },
};
