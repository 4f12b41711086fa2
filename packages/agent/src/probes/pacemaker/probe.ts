import type { QuorumMember, SystemHealth } from "@slipway/shared";
import { type Answer, fail, said, whole } from "../answer.ts";
import { Findings, member, quorumSet, reading } from "../findings.ts";
import type { Probe } from "../probe.ts";
import { children, type Element, readXml, text, theAttribute, theAttributeCount, theChild, theFlag } from "../xml.ts";

/** crm_mon -1 --output-as=xml of Pacemaker 2.0 and later. The older -X has another root element and is not read. */
export function parsePacemaker(answer: Answer): SystemHealth {
  return reading("pacemaker", () => {
    const findings = new Findings();
    const result = readResult(answer);
    const summary = theChild(result, "summary");
    const dc = theChild(summary, "current_dc");
    if (!theFlag(dc, "present")) findings.degraded("pacemaker has no DC");
    else if (!theFlag(dc, "with_quorum")) findings.degraded("pacemaker: this partition has no quorum");
    const options = theChild(summary, "cluster_options");
    if (theFlag(options, "maintenance-mode")) findings.degraded("pacemaker: the whole cluster is in maintenance mode");
    if (theFlag(options, "stop-all-resources")) findings.degraded("pacemaker is told to stop all resources");
    const nodes = children(theChild(result, "nodes"), "node");
    const configured = theAttributeCount(theChild(summary, "nodes_configured"), "number");
    if (nodes.length !== configured) fail(`crm_mon: ${nodes.length} nodes listed, ${configured} configured`);
    const members = nodes.map((node) => look(node, findings));
    for (const failure of children(children(result, "failures")[0], "failure"))
      findings.degraded(`pacemaker: ${failureText(failure)}`);
    for (const event of children(children(result, "fence_history")[0], "fence_event")) fencing(event, findings);
    for (const broken of resources(theChild(result, "resources"))) findings.degraded(`pacemaker: ${broken}`);
    return findings.health("pacemaker", { version: dcVersion(dc), sets: [quorumSet("nodes", 1, members)] });
  });
}

function readResult(answer: Answer): Element {
  // crm_mon tells its own failure in XML as well, with the same number as exit status.
  if (answer.exitCode !== 0 && answer.stdout.trimStart().startsWith("<")) {
    const failed = readXml(answer.stdout, "crm_mon", "pacemaker-result");
    const status = theChild(failed, "status");
    const [error] = children(children(status, "errors")[0], "error");
    fail(`crm_mon: ${text(error) || theAttribute(status, "message")}`);
  }
  const result = readXml(whole(answer, "crm_mon"), "crm_mon", "pacemaker-result");
  const status = theChild(result, "status");
  if (theAttribute(status, "code") !== "0") fail(`crm_mon: ${said(answer)}`);
  return result;
}

function dcVersion(dc: Element): string {
  return theFlag(dc, "present") ? theAttribute(dc, "version") : "";
}

/** A node that is offline in good order, or that somebody put aside, is down; unclean is what must be fenced. */
function look(node: Element, findings: Findings): QuorumMember {
  const name = theAttribute(node, "name");
  const is = (flag: string) => theFlag(node, flag);
  const troubles = [
    ...(is("online") ? [] : ["offline"]),
    ...(is("unclean") ? ["unclean: it waits to be fenced"] : []),
    ...(is("pending") ? ["joining"] : []),
    ...(is("standby") || is("standby_onfail") ? ["in standby"] : []),
    ...(is("maintenance") ? ["in maintenance mode"] : []),
    ...(is("shutdown") ? ["shutting down"] : []),
  ];
  theAttributeCount(node, "resources_running");
  for (const trouble of troubles) findings.degraded(`pacemaker node ${name} is ${trouble}`);
  const roles = is("is_dc") ? ["dc"] : [];
  return member(name, name, { state: troubles.length === 0 ? "up" : "down", roles, note: troubles.join(", ") });
}

function failureText(failure: Element): string {
  const node = theAttribute(failure, "node");
  const task = theAttribute(failure, "task");
  const [resource = ""] = theAttribute(failure, "op_key").split(`_${task}_`);
  return `${task} of ${resource} failed on ${node} (${theAttribute(failure, "exitstatus")})`;
}

function fencing(event: Element, findings: Findings): void {
  const status = theAttribute(event, "status");
  const target = theAttribute(event, "target");
  if (status === "pending") findings.degraded(`pacemaker: ${target} is being fenced`);
  // Old successes and failures are history.
  else if (status !== "success" && status !== "failed")
    fail(`crm_mon: fencing of ${target} is ${JSON.stringify(status)}`);
}

/** What is failed or blocked, in groups, clones and bundles alike. */
function resources(parent: Element): string[] {
  return ["resource", "group", "clone", "bundle", "replica"].flatMap((kind) =>
    children(parent, kind).flatMap((element) => {
      const inside = resources(element);
      if (kind !== "resource") return inside;
      const id = theAttribute(element, "id");
      const broken = [
        ...(theFlag(element, "failed") && !theFlag(element, "failure_ignored") ? ["failed"] : []),
        ...(theFlag(element, "blocked") ? ["blocked"] : []),
      ];
      return [...inside, ...broken.map((what) => `resource ${id} is ${what}`)];
    }),
  );
}

/**
 * Pacemaker. Its nodes are one set of which one has to stay: votes are corosync's affair, which resources fit where is Pacemaker's own.
 */
export const pacemakerProbe: Probe = {
  system: "pacemaker",
  async ask(context) {
    context.settings.end();
    return parsePacemaker(await context.run(["crm_mon", "-1", "--output-as=xml"]));
  },
};
