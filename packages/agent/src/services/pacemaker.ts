import { fail, whole } from "../probes/answer.ts";
import { parsePacemaker } from "../probes/pacemaker/probe.ts";
import { children, readXml, theAttribute, theAttributeCount, theChild, theFlag } from "../probes/xml.ts";
import { type Service, type ServiceContext, until } from "./service.ts";

const MON = ["crm_mon", "-1", "--output-as=xml"];

/**
 * This host as a node of Pacemaker: standby moves its resources away, and lasts over a reboot. Setting: `node`, its name in the cluster
 * (default: the host's).
 */
export const pacemakerService: Service = {
  kind: "pacemaker",
  async state(context) {
    const { node } = await look(context);
    return node.isStandby ? "stopped" : "running";
  },

  async stop(context) {
    const { health, node } = await look(context);
    if (health.state === "unknown") fail(`pacemaker cannot be read: ${health.reasons.join("; ")}`);
    // Resources that cannot be stopped cleanly end in a fence: nothing may be half done before they move.
    if (health.reasons.length > 0) fail(`pacemaker is not well: ${health.reasons.join("; ")}`);
    whole(await context.run(["crm_standby", `--node=${node.name}`, "--update=on"]), "crm_standby");
    await until(context, async () => {
      const now = await look(context);
      if (now.node.isUnclean) fail(`pacemaker: ${node.name} is unclean, it will be fenced`);
      if (!now.node.isStandby) return `pacemaker: ${node.name} is not in standby yet`;
      return now.node.running === 0 ? "" : `pacemaker: ${now.node.running} resources still run on ${node.name}`;
    });
  },

  async start(context) {
    const name = nodeName(context);
    whole(await context.run(["crm_standby", `--node=${name}`, "--delete"]), "crm_standby");
    await until(context, () => notWell(context).catch((thrown: Error) => thrown.message));
  },

  async check(context) {
    const problem = await notWell(context);
    if (problem !== "") fail(problem);
  },
};

function nodeName({ settings, host }: ServiceContext): string {
  const name = settings.text("node", host);
  settings.end();
  return name;
}

async function look(context: ServiceContext) {
  const name = nodeName(context);
  const answer = await context.run(MON);
  const health = parsePacemaker(answer);
  const result = readXml(whole(answer, "crm_mon"), "crm_mon", "pacemaker-result");
  const found = children(theChild(result, "nodes"), "node").find((one) => theAttribute(one, "name") === name);
  if (found === undefined) fail(`pacemaker has no node ${name}; give its name there in the setting node`);
  const node = {
    name,
    isStandby: theFlag(found, "standby"),
    isOnline: theFlag(found, "online"),
    isUnclean: theFlag(found, "unclean"),
    isPending: theFlag(found, "pending"),
    running: theAttributeCount(found, "resources_running"),
  };
  return { health, node };
}

async function notWell(context: ServiceContext): Promise<string> {
  const { node } = await look(context);
  const troubles = [
    ...(node.isOnline ? [] : ["offline"]),
    ...(node.isStandby ? ["in standby"] : []),
    ...(node.isPending ? ["joining"] : []),
    ...(node.isUnclean ? ["unclean"] : []),
  ];
  return troubles.length === 0 ? "" : `pacemaker: ${node.name} is ${troubles.join(", ")}`;
}
