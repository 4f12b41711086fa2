import { naturalCompare, stages } from "@slipway/shared";
import { hookSuffixes, sha256 } from "@slipway/shared/node";
import type { operatorWire } from "@slipway/shared/wire";
import type { HookDir } from "./read.ts";

/** Hosts that have the same in one place. */
export interface Group {
  /** Hash; empty when there is nothing, or when it is not known. */
  readonly hash: string;
  readonly hosts: readonly string[];
  /** `same` as the directory or as most hosts, or not; `even` when nobody can say who is right. */
  readonly is: "same" | "other" | "even";
}

/** One stage, or all files of the directory. */
export interface Place {
  readonly place: string;
  /** Whether all hosts have the same (as the directory, if one was given). */
  readonly same: boolean;
  readonly groups: readonly Group[];
}

export interface HooksDiff {
  readonly same: boolean;
  /** Hosts that were compared. */
  readonly hosts: readonly string[];
  readonly places: readonly Place[];
  /** Hosts of which it is not known what they have now. */
  readonly notCompared: readonly { readonly host: string; readonly reason: string }[];
}

/** The place that stands for the directory as a whole. */
export const ALL_FILES = "all files";

type Host = Pick<operatorWire.FleetHost, "name" | "connected" | "hooks" | "hooksHash" | "hooksProblem" | "hooksDir">;

/** Compares hosts with each other, or with a directory. Pure. */
export function diffHooks(hosts: readonly Host[], dir?: HookDir): HooksDiff {
  const sorted = [...hosts].sort((a, b) => naturalCompare(a.name, b.name));
  const notCompared: { host: string; reason: string }[] = [];
  const compared: Host[] = [];
  for (const host of sorted) {
    if (!host.connected) notCompared.push({ host: host.name, reason: "its agent is not connected" });
    else if (host.hooksProblem !== "") notCompared.push({ host: host.name, reason: host.hooksProblem });
    else compared.push(host);
  }
  const places = [
    ...stages.map((stage) =>
      placeOf(
        stage,
        compared,
        (host) => host.hooks.find((hook) => hook.stage === stage)?.sha256 ?? "",
        dir && stageHash(dir, stage),
      ),
    ),
    placeOf(ALL_FILES, compared, (host) => host.hooksHash, dir?.hash),
  ];
  const same = notCompared.length === 0 && places.every((place) => place.same);
  return { same, hosts: compared.map((host) => host.name), places, notCompared };
}

function placeOf(place: string, hosts: readonly Host[], hashOf: (host: Host) => string, wanted?: string): Place {
  const byHash = [...Map.groupBy(hosts, hashOf)].sort(([, a], [, b]) => b.length - a.length);
  const [first, second] = byHash;
  const usual = wanted ?? (first && first[1].length > (second?.[1].length ?? 0) ? first[0] : undefined);
  const groups = byHash.map(
    ([hash, members]): Group => ({
      hash,
      hosts: members.map((host) => host.name),
      is: usual === undefined ? "even" : hash === usual ? "same" : "other",
    }),
  );
  // Of more files than can be compared it is not known whether they are the same.
  const known = place !== ALL_FILES || groups.every(({ hash }) => hash !== "");
  return { place, same: known && groups.length <= 1 && groups.every(({ is }) => is === "same"), groups };
}

/** The hash of the file that a host would take for the stage. */
function stageHash({ files }: HookDir, stage: string): string {
  for (const suffix of hookSuffixes) {
    const file = files.find(({ name }) => name === `${stage}${suffix}`);
    if (file !== undefined) return sha256(file.content);
  }
  return "";
}
