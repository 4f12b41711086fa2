import type { QuorumMember, QuorumSet, SystemHealth } from "@slipway/shared";
import { type Answer, fail } from "../answer.ts";
import { Findings, member, quorumSet, reading } from "../findings.ts";
import { ruleOf, serverQuorum } from "./rules.ts";
import { type Heal, readClients, readHeal, readStatus, type VolumeStatus } from "./status.ts";
import { type Brick, type Peer, readPeers, readVolumes, type Volume } from "./volumes.ts";

/** What `gluster --mode=script --xml` printed. */
export interface GlusterAnswers {
  /** pool list */
  readonly pool: Answer;
  /** volume info */
  readonly info: Answer;
  /** volume status all */
  readonly status: Answer;
  /** volume status all clients */
  readonly clients: Answer;
  /** volume heal V info summary, by volume */
  readonly heal: ReadonlyMap<string, Answer>;
  /** Volumes that are looked at; empty: all. */
  readonly only: readonly string[];
  /** Host name of the one that was asked, for when it has no brick. */
  readonly host: string;
}

/** Started volumes that are looked at. A stopped one serves nobody whom the loss of a brick could hurt. */
export function startedVolumes(info: Answer, only: readonly string[]): Volume[] {
  const volumes = readVolumes(info);
  for (const name of only)
    if (!volumes.some((v) => v.name === name)) fail(`gluster has no volume ${name} (setting volume)`);
  return volumes.filter((v) => v.isStarted && (only.length === 0 || only.includes(v.name)));
}

/** Each brick set is a quorum set; so are the glusterd where a volume asks for server quorum. */
export function parseGluster(answers: GlusterAnswers): SystemHealth {
  return reading("gluster", () => {
    const findings = new Findings();
    const peers = readPeers(answers.pool);
    const volumes = startedVolumes(answers.info, answers.only);
    for (const { hostname, isConnected, problem } of peers)
      if (problem !== "") findings.degraded(`gluster peer ${hostname}: ${problem}`);
      else if (!isConnected) findings.degraded(`gluster peer ${hostname} is not connected`);
    const status = findings.attempt(() => readStatus(answers.status));
    const sets = volumes.flatMap((volume) =>
      volumeSets(volume, { answers, peers, status: status?.get(volume.name), findings }),
    );
    findings.attempt(() => compareClients(volumes, answers.clients, status, findings));
    const needed = serverQuorum(volumes, peers.length);
    if (needed !== undefined) sets.push(glusterds(needed, peers, readVolumes(answers.info), answers.host));
    return findings.health("gluster", { sets });
  });
}

interface Around {
  readonly answers: GlusterAnswers;
  readonly peers: readonly Peer[];
  readonly status: VolumeStatus | undefined;
  readonly findings: Findings;
}

function volumeSets(volume: Volume, around: Around): QuorumSet[] {
  const { answers, peers, status, findings } = around;
  if (status === undefined) findings.unknown(`gluster volume ${volume.name}: its status is not known`);
  for (const task of status?.tasks ?? []) findings.degraded(`gluster volume ${volume.name}: ${task}`);
  for (const peer of peers)
    if (status?.healers.get(peer.uuid) === false)
      findings.degraded(`gluster volume ${volume.name}: the self-heal daemon on ${peer.hostname} does not run`);
  const heal = volume.kind === "distribute" ? undefined : healOf(volume, answers, findings);
  return volume.sets.map((bricks, index) => {
    const rule = ruleOf(volume, bricks);
    const repairing: string[] = [];
    const members = bricks.map((brick, i) => {
      const votes = rule.votes[i] ?? 1;
      const seen = brickMember(volume, brick, around);
      if (volume.kind === "distribute") return { ...seen, votes };
      const { text, isPending } = healText(volume, brick, heal?.get(brick.name), seen, findings);
      if (isPending) repairing.push(`${brick.name}: ${text}`);
      return { ...seen, votes, note: [seen.note, text].filter((t) => t !== "").join("; ") };
    });
    return quorumSet(`volume ${volume.name} set ${index + 1}`, rule.needed, members, {
      oneOf: [...rule.oneOf],
      repairing: repairing.join(", "),
    });
  });
}

function brickMember(volume: Volume, brick: Brick, { peers, status, findings }: Around): QuorumMember {
  const peer = peers.find((p) => p.uuid === brick.uuid) ?? fail(`gluster: brick ${brick.name} belongs to no peer`);
  const roles = brick.isArbiter ? ["arbiter"] : [];
  const seen = (state: QuorumMember["state"], note: string) => member(brick.name, brick.host, { state, note, roles });
  const online = status?.bricks.get(brick.name);
  if (online === true) return seen("up", "");
  if (online === false) {
    findings.degraded(`gluster volume ${volume.name}: brick ${brick.name} is offline`);
    return seen("down", "offline");
  }
  // A glusterd that cannot be asked is left out of the list without a word.
  if (!peer.isConnected) {
    findings.degraded(
      `gluster volume ${volume.name}: brick ${brick.name} cannot be seen, glusterd there is not connected`,
    );
    return seen("down", "glusterd not connected");
  }
  findings.unknown(`gluster volume ${volume.name}: nothing is said of brick ${brick.name}`);
  return seen("unknown", "not listed");
}

function healOf(volume: Volume, answers: GlusterAnswers, findings: Findings): ReadonlyMap<string, Heal> | undefined {
  const answer = answers.heal.get(volume.name);
  return findings.attempt(() =>
    readHeal(answer ?? fail(`gluster volume ${volume.name}: heal was not asked`), volume.name),
  );
}

/**
 * What is to be healed according to a brick. That of a brick which is down is not known, which is no zero; it is no second reason
 * beside that it is down either.
 */
function healText(
  volume: Volume,
  brick: Brick,
  heal: Heal | undefined,
  seen: QuorumMember,
  findings: Findings,
): { readonly text: string; readonly isPending: boolean } {
  const { entries, splitBrain = 0, problem = "not told" } = heal ?? {};
  if (entries === undefined) {
    if (seen.state === "up" && heal !== undefined)
      findings.unknown(`gluster volume ${volume.name}: entries to heal on ${brick.name} are not known (${problem})`);
    else if (seen.state === "up")
      findings.unknown(`gluster volume ${volume.name}: brick ${brick.name} has no heal count`);
    return { text: "entries to heal: unknown", isPending: false };
  }
  if (entries === 0) return { text: "", isPending: false };
  const split = splitBrain > 0 ? `, ${splitBrain} of them in split-brain` : "";
  const text = `${entries} ${entries === 1 ? "entry" : "entries"} to heal${split}`;
  findings.degraded(`gluster volume ${volume.name}: brick ${brick.name}: ${text}`);
  return { text, isPending: true };
}

/** A client that lost one brick loses its quorum when the next one goes, though every brick is up. */
function compareClients(
  volumes: readonly Volume[],
  answer: Answer,
  status: ReadonlyMap<string, VolumeStatus> | undefined,
  findings: Findings,
): void {
  const clients = readClients(answer);
  for (const volume of volumes) {
    if (volume.kind === "distribute") continue;
    const byBrick = clients.get(volume.name) ?? fail(`gluster volume ${volume.name}: its clients are not told`);
    for (const set of volume.sets) {
      const all = new Set(set.flatMap((b) => [...(byBrick.get(b.name) ?? [])]));
      for (const brick of set) {
        const here = byBrick.get(brick.name);
        if (here === undefined && status?.get(volume.name)?.bricks.get(brick.name) !== true) continue;
        if (here === undefined) fail(`gluster volume ${volume.name}: the clients of ${brick.name} are not told`);
        const missing = [...all].filter((host) => !here.has(host)).sort();
        if (missing.length > 0)
          findings.degraded(
            `gluster volume ${volume.name}: clients on ${missing.join(", ")} have other bricks but not ${brick.name}`,
          );
      }
    }
  }
}

function glusterds(needed: number, peers: readonly Peer[], volumes: readonly Volume[], host: string): QuorumSet {
  const bricks = volumes.flatMap((v) => v.sets.flat());
  const members = peers.map((peer) => {
    // The asked one is "localhost": a name that is the same from everywhere is that of its bricks, or its UUID.
    const named = bricks.find((b) => b.uuid === peer.uuid)?.host;
    const address = named ?? (peer.hostname === "localhost" ? host : peer.hostname);
    const state = peer.isConnected && peer.problem === "" ? "up" : "down";
    return member(`glusterd ${named ?? peer.uuid}`, address, { state, note: peer.problem });
  });
  members.sort((a, b) => (a.name < b.name ? -1 : 1));
  return quorumSet("glusterd", needed, members);
}
