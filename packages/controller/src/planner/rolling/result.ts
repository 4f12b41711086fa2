import type { Reason } from "../../domain/words.ts";

/**
 * Why an instance moves: its host's turn, to make room for another one, back home, or to even out hosts at the end.
 */
export type MoveKind = "drain" | "make-room" | "return" | "level";

export interface PlannedMove {
  readonly instance: string;
  readonly from: string;
  readonly to: string;
  readonly kind: MoveKind;
  /** Index of the wave before whose hosts go out this happens; the number of waves for what follows the last one. */
  readonly wave: number;
  /** Expected start and end in the rolling schedule. */
  readonly startMs: number;
  readonly endMs: number;
}

/** One host's turn in the rolling schedule: drain from `startMs`, out from `outMs`, back in service at `backMs`. */
export interface PlannedTurn {
  readonly host: string;
  readonly wave: number;
  readonly startMs: number;
  readonly outMs: number;
  readonly backMs: number;
  /** What the start waits for; empty if it starts at once. */
  readonly waitsFor: string;
  /** Instances stopped for the turn, with consent. */
  readonly stops: readonly string[];
}

/** How full the hosts are, as shares of their memory (0 to 1). */
export interface Balance {
  readonly mean: number;
  readonly least: number;
  readonly most: number;
}

export interface Bounds {
  /** Moves that no plan can avoid. */
  readonly moves: number;
  /** Waves that no plan can avoid, and what makes it so. */
  readonly waves: number;
  readonly wavesBecause: string;
  readonly makespanMs: number;
}

export interface RollingPlan {
  readonly feasible: true;
  readonly waves: readonly (readonly string[])[];
  /** In an order in which they can be made one after the other, wave by wave. */
  readonly moves: readonly PlannedMove[];
  /** In the order in which hosts may start. */
  readonly turns: readonly PlannedTurn[];
  readonly bounds: Bounds;
  /** Of the rolling schedule. */
  readonly makespanMs: number;
  /** Of the same plan with a barrier after each wave. */
  readonly barrierMakespanMs: number;
  /** Of the rolling schedule if every host takes its 95th percentile. */
  readonly p95Ms: number;
  /** Instances to stop to which nobody has consented yet. */
  readonly consentsNeeded: readonly string[];
  /** Instances with a home that end elsewhere although a return was asked for. */
  readonly notReturned: readonly string[];
  readonly balance: Balance;
}

export interface Infeasible {
  readonly feasible: false;
  /** True if no plan exists; false if none was found within the effort allowed. */
  readonly proven: boolean;
  readonly reasons: readonly Reason[];
  /** Changes each of which makes a plan possible, verified by planning; the least of its kind, the smallest one first. */
  readonly relaxations: readonly Relaxation[];
}

export type Relaxation =
  | { readonly kind: "stop"; readonly instances: readonly string[] }
  | { readonly kind: "exclude"; readonly hosts: readonly string[] }
  | { readonly kind: "add-host"; readonly cluster: string; readonly memoryMiB: number; readonly vcpus: number };

export type RollingResult = RollingPlan | Infeasible;
