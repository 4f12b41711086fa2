/** "512 MiB", "2 GiB", "1.5 TiB". */
export function sizeText(mib: number): string {
  for (const [unit, size] of [
    ["TiB", 1024 * 1024],
    ["GiB", 1024],
  ] as const)
    if (mib >= size) return `${trimmed(mib / size)} ${unit}`;
  return `${Math.round(mib)} MiB`;
}

/** One digit behind the point, where it says something. */
const trimmed = (n: number) => n.toFixed(1).replace(/\.0$/, "");
