import { naturalCompare } from "@slipway/shared";

/** A size for people: "12 GiB", "1.5 GiB", "512 MiB". */
export function sizeText(mib: number): string {
  if (mib < 1024) return `${Math.round(mib)} MiB`;
  const gib = mib / 1024;
  return `${Number.isInteger(gib) ? gib : gib.toFixed(1)} GiB`;
}

/** "hv1", "hv1 and hv2", "hv1, hv2 and 17 more"; sorted naturally, at most `max` of them by name. */
export function listText(names: readonly string[], max = 5): string {
  const sorted = [...names].sort(naturalCompare);
  const shown = sorted.length > max ? [...sorted.slice(0, max), `${sorted.length - max} more`] : sorted;
  return shown.length < 2 ? shown.join("") : `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`;
}

const plurals: Readonly<Record<string, string>> = { has: "have", is: "are", does: "do", runs: "run", lacks: "lack" };

/** "hv2 has no bridge br9", "hv2 and hv3 have no bridge br9". `phrase` starts with a verb in the singular. */
export function sentence(subjects: readonly string[], phrase: string): string {
  const [verb = "", ...rest] = phrase.split(" ");
  const said = subjects.length === 1 ? verb : (plurals[verb] ?? verb);
  return [listText(subjects), said, ...rest].join(" ");
}

/** Things joined as choices: "a, b, or c". */
export function choices(items: readonly string[]): string {
  const all = [...new Set(items.filter((i) => i !== ""))];
  if (all.length < 3) return all.join(", or ");
  return `${all.slice(0, -1).join(", ")}, or ${all.at(-1)}`;
}
