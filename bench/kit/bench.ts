import type { BenchResult } from "./figures.ts";
import type { Scratch } from "./scratch.ts";

export interface BenchOptions {
  /** How often floor and product are measured, one after the other. */
  readonly rounds: number;
  /** Says what is going on, on stderr. */
  readonly say: (text: string) => void;
}

export interface Bench {
  /** One line for `--help`. */
  readonly about: string;
  /** Rounds when none are asked for. */
  readonly rounds: number;
  readonly run: (scratch: Scratch, options: BenchOptions) => Promise<BenchResult>;
}

/** Calls each of `sides` once a round, starting with another one each time, so that drift meets all of them. */
export async function alternate<K extends string>(
  rounds: number,
  sides: Readonly<Record<K, (round: number) => number | Promise<number>>>,
): Promise<Record<K, number[]>> {
  const names = Object.keys(sides) as K[];
  const out = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<K, number[]>;
  for (let round = 0; round < rounds; round++) {
    const first = round % names.length;
    for (const name of [...names.slice(first), ...names.slice(0, first)]) out[name].push(await sides[name](round));
  }
  return out;
}
