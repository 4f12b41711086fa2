// What `gluster --xml` says of volumes and peers, read strictly: counts that it states itself have to agree with what it lists.
import { type Answer, fail, whole } from "../answer.ts";
import { children, type Element, readXml, text, theAttribute, theChild, theCount, theText } from "../xml.ts";

export interface Brick {
  /** "n1:/bricks/a" */
  readonly name: string;
  readonly host: string;
  /** Of the peer that has it. */
  readonly uuid: string;
  readonly isArbiter: boolean;
}

export interface Volume {
  readonly name: string;
  readonly isStarted: boolean;
  /** Bricks of one set hold the same data, or parts of it; in the order of the volume. */
  readonly sets: readonly (readonly Brick[])[];
  readonly kind: "distribute" | "replicate" | "disperse";
  /** Of a disperse set: how many bricks it can do without. */
  readonly redundancy: number;
  /** Options that were set; defaults are not listed. */
  readonly options: ReadonlyMap<string, string>;
}

export interface Peer {
  readonly uuid: string;
  /** "localhost" for the one that was asked. */
  readonly hostname: string;
  readonly isConnected: boolean;
  /** Its state in words where it is not a full member; empty otherwise. */
  readonly problem: string;
}

const kinds: Readonly<Record<string, Volume["kind"]>> = {
  Distribute: "distribute",
  Replicate: "replicate",
  "Distributed-Replicate": "replicate",
  Disperse: "disperse",
  "Distributed-Disperse": "disperse",
};

/** The element below <cliOutput>, if gluster says that the question itself was answered. */
export function answered(answer: Answer, what: string, path: string): Element {
  const root = readXml(whole(answer, what), what, "cliOutput");
  const code = theText(root, "opRet");
  if (code !== "0") fail(`${what}: ${text(root, "opErrstr") || `opRet ${code}`}`);
  return theChild(root, path);
}

/** Somebody else's command holds gluster's lock: the same question may be answered a moment later. */
export function isBusy(answer: Answer): boolean {
  return /Another transaction is in progress|Locking failed/i.test(`${answer.stdout}${answer.stderr}`);
}

/** gluster pool list: all peers, the asked one among them. */
export function readPeers(answer: Answer): Peer[] {
  const found = children(answered(answer, "gluster pool list", "peerStatus"), "peer").map((peer): Peer => {
    const hostname = theText(peer, "hostname");
    const connected = theText(peer, "connected");
    if (connected !== "0" && connected !== "1") fail(`gluster pool list: <connected> of ${hostname} is ${connected}`);
    const state = hostname === "localhost" ? "Peer in Cluster" : theText(peer, "stateStr");
    const problem = state === "Peer in Cluster" ? "" : state;
    return { uuid: theText(peer, "uuid"), hostname, isConnected: connected === "1", problem };
  });
  if (found.filter((p) => p.hostname === "localhost").length !== 1)
    fail("gluster pool list: localhost is not among them");
  if (new Set(found.map((p) => p.uuid)).size !== found.length) fail("gluster pool list: a peer twice");
  return found;
}

/** gluster volume info. */
export function readVolumes(answer: Answer): Volume[] {
  const list = answered(answer, "gluster volume info", "volInfo/volumes");
  const volumes = children(list, "volume").map(readVolume);
  if (volumes.length !== theCount(list, "count"))
    fail(`gluster volume info: ${volumes.length} volumes listed, <count> says ${theCount(list, "count")}`);
  return volumes;
}

function readVolume(volume: Element): Volume {
  const name = theText(volume, "name");
  const say = (problem: string): never => fail(`gluster volume info: volume ${name}: ${problem}`);
  if (!/^[A-Za-z0-9_.-]+$/.test(name) || name.startsWith("-")) say("no name of a volume");
  const type = theText(volume, "typeStr");
  const kind = (Object.hasOwn(kinds, type) ? kinds[type] : undefined) ?? say(`type ${type} is not known here`);
  const bricks = children(theChild(volume, "bricks"), "brick").map(readBrick);
  const total = theCount(volume, "brickCount");
  if (bricks.length !== total) say(`${bricks.length} bricks listed, <brickCount> says ${total}`);
  if (new Set(bricks.map((b) => b.name)).size !== total) say("a brick twice");
  const replicas = theCount(volume, "replicaCount");
  const dispersed = theCount(volume, "disperseCount");
  const redundancy = theCount(volume, "redundancyCount");
  const arbiters = theCount(volume, "arbiterCount");
  const size = kind === "disperse" ? dispersed : kind === "replicate" ? replicas : 1;
  const agrees =
    kind === "disperse"
      ? redundancy >= 1 && redundancy < size / 2 && arbiters === 0
      : kind === "replicate"
        ? size >= 2 && dispersed === 0 && redundancy === 0
        : replicas === 1 && dispersed === 0;
  if (!agrees || total === 0 || total % size !== 0 || theCount(volume, "distCount") * size !== total)
    say(`type ${type} with ${total} bricks in sets of ${size} cannot be`);
  const sets = Array.from({ length: total / size }, (_, i) => bricks.slice(i * size, (i + 1) * size));
  for (const set of sets)
    if (set.filter((b) => b.isArbiter).length !== arbiters) say(`not every set has ${arbiters} arbiters`);
  return {
    name,
    isStarted: startedness(theText(volume, "statusStr"), say),
    sets,
    kind,
    redundancy,
    options: readOptions(volume),
  };
}

function startedness(status: string, say: (problem: string) => never): boolean {
  if (status === "Started") return true;
  return status === "Stopped" || status === "Created" ? false : say(`status ${status} is not known`);
}

function readBrick(brick: Element): Brick {
  const name = theText(brick, "name");
  const [, host = ""] = /^(\S+?):\/\S*$/.exec(name) ?? fail(`gluster volume info: ${JSON.stringify(name)} is no brick`);
  const arbiter = theText(brick, "isArbiter");
  if (arbiter !== "0" && arbiter !== "1") fail(`gluster volume info: <isArbiter> of ${name} is ${arbiter}`);
  const uuid = theText(brick, "hostUuid");
  if (theAttribute(brick, "uuid") !== uuid) fail(`gluster volume info: brick ${name} has two peers`);
  return { name, host, uuid, isArbiter: arbiter === "1" };
}

function readOptions(volume: Element): Map<string, string> {
  const options = children(theChild(volume, "options"), "option");
  if (options.length !== theCount(volume, "optCount")) fail("gluster volume info: options are missing");
  return new Map(options.map((option) => [theText(option, "name"), text(option, "value")]));
}
