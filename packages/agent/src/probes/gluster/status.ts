// What `gluster --xml` says of the processes of volumes, of their clients and of what is still to be healed.
import { type Answer, fail, whole } from "../answer.ts";
import { children, digits, type Element, readXml, text, theChild, theCount, theText } from "../xml.ts";
import { answered } from "./volumes.ts";

export interface VolumeStatus {
  /** By brick name. Bricks of peers that cannot be asked are not listed. */
  readonly bricks: ReadonlyMap<string, boolean>;
  /** Self-heal daemons by the UUID of their peer; empty where they are switched off. */
  readonly healers: ReadonlyMap<string, boolean>;
  /** Rebalances and the like that run now. */
  readonly tasks: readonly string[];
}

/** What may go on for ever without hurting anybody. */
const TASK_IDLE = /^(?:completed|stopped|not started|failed|fix-layout (?:completed|stopped|failed))$/;
const TASK_RUNS = /^(?:fix-layout )?in progress$/;

/** gluster volume status all; by volume. */
export function readStatus(answer: Answer): Map<string, VolumeStatus> {
  const all = new Map<string, VolumeStatus>();
  for (const volume of children(answered(answer, "gluster volume status", "volStatus/volumes"), "volume")) {
    const name = theText(volume, "volName");
    if (all.has(name)) fail(`gluster volume status: volume ${name} twice`);
    const bricks = new Map<string, boolean>();
    const healers = new Map<string, boolean>();
    for (const node of nodes(volume, name)) {
      const hostname = theText(node, "hostname");
      const path = theText(node, "path");
      if (path.startsWith("/")) bricks.set(`${hostname}:${path}`, isUp(node));
      else if (hostname === "Self-heal Daemon") healers.set(theText(node, "peerid"), isUp(node));
    }
    all.set(name, { bricks, healers, tasks: children(theChild(volume, "tasks"), "task").flatMap(runningTask) });
  }
  return all;
}

function nodes(volume: Element, name: string): readonly Element[] {
  const found = children(volume, "node");
  if (found.length !== theCount(volume, "nodeCount"))
    fail(
      `gluster volume status: volume ${name}: ${found.length} processes, <nodeCount> says ${theCount(volume, "nodeCount")}`,
    );
  return found;
}

function isUp(node: Element): boolean {
  const status = theText(node, "status");
  return status === "1" || (status === "0" ? false : fail(`gluster volume status: <status> is ${status}`));
}

function runningTask(task: Element): string[] {
  const type = theText(task, "type");
  const status = theText(task, "statusStr");
  if (TASK_IDLE.test(status)) return [];
  if (!TASK_RUNS.test(status)) fail(`gluster volume status: task ${type} is ${JSON.stringify(status)}`);
  return [`${type.toLowerCase()} ${status}`];
}

/** gluster volume status all clients: hosts that each brick's clients run on, by volume and brick. */
export function readClients(answer: Answer): Map<string, ReadonlyMap<string, ReadonlySet<string>>> {
  const what = "gluster volume status clients";
  return new Map(
    children(answered(answer, what, "volStatus/volumes"), "volume").map((volume) => {
      const name = theText(volume, "volName");
      // Its <nodeCount> is wrong in GlusterFS 10 where a volume has several sets; what is missing is missed by who asks.
      const bricks = children(volume, "node").flatMap((node): [string, Set<string>][] => {
        if (!isUp(node)) return [];
        const status = theChild(node, "clientsStatus");
        const clients = children(status, "client");
        if (clients.length !== theCount(status, "clientCount")) fail(`${what}: volume ${name}: clients are missing`);
        const hosts = clients.map((client) => theText(client, "hostname").replace(/:\d+$/, ""));
        return [[`${theText(node, "hostname")}:${theText(node, "path")}`, new Set(hosts)]];
      });
      return [name, new Map(bricks)];
    }),
  );
}

/** What is to be healed according to one brick; undefined entries: nobody knows. */
export interface Heal {
  readonly entries?: number;
  readonly splitBrain?: number;
  /** Why it is not known. */
  readonly problem: string;
}

/** gluster volume heal V info summary; by brick. Only `Connected` with a number is a number. */
export function readHeal(answer: Answer, volume: string): Map<string, Heal> {
  const what = `gluster volume heal ${volume} info summary`;
  const root = readXml(whole(answer, what), what, "cliOutput");
  if (theText(root, "opRet") !== "0") fail(`${what}: ${text(root, "opErrstr") || `opRet ${theText(root, "opRet")}`}`);
  return new Map(
    children(theChild(root, "healInfo/bricks"), "brick").map((brick): [string, Heal] => [
      theText(brick, "name"),
      readBrickHeal(brick),
    ]),
  );
}

function readBrickHeal(brick: Element): Heal {
  const status = text(brick, "status");
  if (status !== "Connected") return { problem: status || "no status" };
  try {
    const [entries, pending, splitBrain, healing] = [
      "totalNumberOfEntries",
      "numberOfEntriesInHealPending",
      "numberOfEntriesInSplitBrain",
      "numberOfEntriesPossiblyHealing",
    ].map((path) => digits(theText(brick, path), `<${path}>`));
    const parts = (pending ?? 0) + (splitBrain ?? 0) + (healing ?? 0);
    if (entries !== parts) return { problem: `${entries} entries, but ${parts} in its parts` };
    return { entries: entries ?? 0, splitBrain: splitBrain ?? 0, problem: "" };
  } catch (thrown) {
    return { problem: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}
