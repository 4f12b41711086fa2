import type { operatorWire } from "@slipway/shared/wire";
import { clean, count, type Paint, table } from "../render/text.ts";
import { ALL_FILES, type HooksDiff } from "./diff.ts";

const SHORT = 12;

/** `against` names the directory that hosts were compared with. */
export function renderDiff(diff: HooksDiff, against: string | undefined, paint: Paint): string[] {
  const lines: string[] = [];
  const usual = against === undefined ? "as most" : `as ${against}`;
  const words = { same: usual, other: "differs", even: "differs" } as const;
  const differing = diff.places.filter((place) => !place.same);
  if (diff.hosts.length === 0) lines.push("no host could be compared");
  else if (differing.length === 0) {
    const hash = diff.places.find(({ place }) => place === ALL_FILES)?.groups[0]?.hash ?? "";
    const n = diff.hosts.length;
    const have = `${count(n, "host")} ${n === 1 ? "has" : "have"}`;
    lines.push(`${have} ${against === undefined ? "the same hooks" : `the hooks of ${against}`}: ${hash}`);
  } else {
    const rows = differing.flatMap(({ place, groups }) =>
      groups.map(({ hash, hosts, is }) => [
        place,
        hash === "" ? (place === ALL_FILES ? "unknown" : "none") : hash.slice(0, SHORT),
        words[is],
        hosts.map(clean).join(", "),
      ]),
    );
    lines.push(...table([["STAGE", "SHA-256", "", "HOSTS"], ...rows], paint));
  }
  for (const { host, reason } of diff.notCompared) lines.push(`not compared: ${clean(host)}: ${clean(reason)}`);
  return lines;
}

export function renderPush(hosts: readonly operatorWire.HookPush[], paint: Paint): string[] {
  const rows = hosts.map((host) => [
    clean(host.host),
    host.ok ? (host.changed ? "pushed" : "unchanged") : "refused",
    host.hash === "" ? "-" : host.hash.slice(0, SHORT),
    host.ok ? (host.replaced === "" ? "" : `before: ${clean(host.replaced)}`) : clean(host.problem),
  ]);
  return table([["HOST", "HOOKS", "SHA-256", ""], ...rows], paint);
}
