import { median } from "./stats.ts";

/** A bound on a ratio (or, without a floor, on the product's own value). */
export interface Aim {
  readonly kind: "at-most" | "at-least";
  readonly value: number;
}

/** One line of a bench's table. Only the ratio is worth comparing between runs and machines. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  /** What the product is held against, measured in the same run; absent where a fixed limit is all there is. */
  readonly floor?: { readonly name: string; readonly value: number };
  readonly product: number;
  /** Product over floor. */
  readonly ratio?: number;
  readonly aim?: Aim;
  /** Lowest and highest ratio of the single rounds. */
  readonly spread?: readonly [number, number];
}

export interface BenchResult {
  readonly bench: string;
  readonly figures: readonly Figure[];
  /** What a reader has to know to read the figures. */
  readonly notes: readonly string[];
}

export const atMost = (value: number): Aim => ({ kind: "at-most", value });
export const atLeast = (value: number): Aim => ({ kind: "at-least", value });

/** A figure out of rounds in which floor and product were measured one after the other: the median of the rounds' ratios. */
export function compared(
  name: string,
  unit: string,
  floor: { name: string; values: readonly number[] },
  product: readonly number[],
  aim?: Aim,
): Figure {
  const ratios = product.map((value, round) => value / (floor.values[round] ?? Number.NaN));
  return {
    name,
    unit,
    floor: { name: floor.name, value: median(floor.values) },
    product: median(product),
    ratio: median(ratios),
    spread: [Math.min(...ratios), Math.max(...ratios)],
    ...(aim ? { aim } : {}),
  };
}

/** Undefined where there is no aim. */
export function isMet({ aim, ratio, product }: Figure): boolean | undefined {
  if (!aim) return undefined;
  const value = ratio ?? product;
  return aim.kind === "at-most" ? value <= aim.value : value >= aim.value;
}

/** The table of a bench, in Markdown, so that it can be pasted into docs/performance.md. */
export function table({ figures, notes }: BenchResult): string {
  const rows = figures.map((figure) => {
    const met = isMet(figure);
    const { floor, spread, aim } = figure;
    return [
      figure.name,
      floor ? `${floor.name}: ${short(floor.value)} ${figure.unit}` : "-",
      `${short(figure.product)} ${figure.unit}`,
      figure.ratio === undefined
        ? "-"
        : `${short(figure.ratio)}${spread ? ` (${short(spread[0])} to ${short(spread[1])})` : ""}`,
      aim
        ? `${aim.kind === "at-most" ? "<=" : ">="} ${aim.value}${figure.ratio === undefined ? ` ${figure.unit}` : ""}`
        : "-",
      met === undefined ? "-" : met ? "met" : "**missed**",
    ];
  });
  const lines = [["figure", "floor or peer", "Slipway", "ratio", "aim", ""], ...rows];
  const widths = [0, 1, 2, 3, 4, 5].map((i) => Math.max(3, ...lines.map((line) => (line[i] ?? "").length)));
  const text = (line: readonly string[]) => `| ${line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = lines;
  return [
    text(head),
    `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`,
    ...body.map(text),
    ...(notes.length > 0 ? ["", ...notes.map((note) => `- ${note}`)] : []),
  ].join("\n");
}

function short(value: number): string {
  if (!Number.isFinite(value)) return "?";
  if (value >= 1000) return Math.round(value).toString();
  return value >= 100
    ? value.toFixed(0)
    : value >= 10
      ? value.toFixed(1)
      : value >= 0.1
        ? value.toFixed(2)
        : value.toPrecision(2);
}
