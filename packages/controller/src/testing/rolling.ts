import type { ScheduledTurn } from "../domain/schedule.ts";
import { defaultOptions, type RunOptions } from "../domain/words.ts";
import type { chance } from "./chance.ts";

const MINUTE = 60_000;

type Random = ReturnType<typeof chance>;

/** Options of a run that goes by these turns: where it waits, and what becomes of it with failures. */
export function drawRolling(r: Random, turns: readonly ScheduledTurn[]): RunOptions {
  const canary = r.one(40) ? (turns[0]?.host ?? "") : "";
  const approve = canary !== "" && r.one(40) ? "after-canary" : r.one(30) ? "each-wave" : "never";
  return {
    ...defaultOptions,
    ...{ canary, approve, order: r.one(50) ? "free" : "given" },
    bakeMs: canary !== "" && r.one(60) ? r.int(1, 30) * MINUTE : 0,
    ...(r.one(50) ? { forced: true } : { maxFailures: r.int(1, 3) }),
    window: r.one(25) ? "00:00-02:00 UTC" : "",
    consentStop: r.one(20) ? ["vm1"] : [],
  };
}

/** Turns of up to three clusters, interleaved; a turn builds only on earlier ones, as a planner would have it. */
export function drawTurns(r: Random): ScheduledTurn[] {
  const left = Array.from({ length: r.int(1, 3) }, (_, c) =>
    Array.from({ length: r.int(1, 5) }, (_, i) => `c${c + 1}h${i}`),
  );
  const turns: ScheduledTurn[] = [];
  let wave = 1;
  while (left.some((hosts) => hosts.length > 0)) {
    const hosts = left[r.int(0, left.length - 1)] ?? [];
    const host = hosts.splice(r.int(0, hosts.length - 1), 1)[0];
    if (host === undefined) continue;
    if (turns.length > 0 && r.one(40)) wave++;
    turns.push({
      ...{ host, cluster: host.slice(0, 2), wave, waitsFor: "" },
      after: turns.filter((t) => t.wave < wave && r.one(20)).map((t) => t.host),
      ...{ startMs: 0, expectedMs: 5 * MINUTE, p95Ms: r.int(5, 60) * MINUTE },
      ...(r.one(10) ? { consentsNeeded: [`vm${r.int(1, 3)}`] } : {}),
    });
  }
  return turns;
}
