import { expect, test } from "vitest";
import { DurationBook, type DurationSample } from "../../domain/durations.ts";
import { host, instance, poolOf } from "../../testing/instances.ts";
import { optionsOf } from "../plan.ts";
import { scheduleOf } from "./index.ts";

const vm = (name: string) => instance(name, { memoryMib: 4096 });
const pictures = [host("hv1", [vm("a")]), host("hv2", [vm("b")])];

function turnOf(name: string, durations?: DurationBook, op: "hooks" | "reboot" = "hooks") {
  const found = scheduleOf({
    hosts: pictures.map((p) => ({ name: p.host, cluster: "c1", state: "in-scope" })),
    inventories: () => pictures,
    ...{ pool: poolOf(), labels: () => ({}), closed: () => undefined, nowT: 0 },
    options: optionsOf({ order: "given", return: "none", op }),
    ...(durations ? { durations } : {}),
  });
  if (found.kind === "none") throw new Error("no schedule");
  return found.schedule.turns.find((t) => t.host === name);
}

const five = (sample: DurationSample) => Array.from({ length: 5 }, () => sample);
const away = { host: "hv1", cluster: "c1", kind: "away", ms: 900_000 } as const;
const moved = { host: "hv1", cluster: "c1", kind: "migration", ms: 20_000, mib: 4096, to: "hv2" } as const;

test("a turn is expected by what the host took before, of a run of its kind, and by what migrations take", () => {
  const book = new DurationBook([
    ...five(away),
    ...five({ ...away, kind: "away-reboot", ms: 200_000 }),
    ...five(moved),
  ]);
  expect(turnOf("hv1", book)).toMatchObject({ expectedMs: 920_000, p95Ms: 920_000 });
  expect(turnOf("hv1", book, "reboot")).toMatchObject({ expectedMs: 220_000 });
});

test("a turn that takes its 95th percentile has a slow drain and a long time away", () => {
  const slow = [...five(away), ...five(moved), { ...away, ms: 1_800_000 }, { ...moved, ms: 40_000 }];
  expect(turnOf("hv1", new DurationBook(slow))).toMatchObject({ expectedMs: 920_000, p95Ms: 1_840_000 });
});

test("where nothing is known it is the stated guess: 10 min away, 5 s and 2 s per GiB", () => {
  expect(turnOf("hv1")).toMatchObject({ expectedMs: 613_000, p95Ms: 1_226_000 });
});
