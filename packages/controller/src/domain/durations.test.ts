import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  assumed,
  DurationBook,
  type DurationSample,
  estimateOf,
  FEW,
  KEPT_PER_HOST,
  migrationMs,
  usualText,
} from "./durations.ts";

const took = (ms: number, host = "hv1", cluster = "c1"): DurationSample => ({ host, cluster, kind: "Maintenance", ms });
const moved = (ms: number, gib: number, host = "hv1", to = "hv2"): DurationSample => ({
  ...{ host, cluster: "c1", kind: "migration", ms, mib: gib * 1024, to },
});
const times = (n: number, of: (i: number) => DurationSample) => Array.from({ length: n }, (_, i) => of(i));
const duration = fc.integer({ min: 1, max: 86_400_000 });

describe("how long something usually takes", () => {
  test("nothing is known of what never ended well, and the guess is called one", () => {
    const book = new DurationBook([took(1)]);
    expect(book.usual("hv1", "reboot", "c1")).toBeUndefined();
    expect(estimateOf(book, "hv1", "away", "c1")).toEqual({
      ...{ expectedMs: assumed.away, p95Ms: 2 * assumed.away, basis: "no history; assumed 10m 00s", isAssumed: true },
    });
    expect(estimateOf(undefined, "hv1", "away")).toMatchObject({ isAssumed: true });
  });

  test("a few samples are widened, and said to be few", () => {
    const of = (...ms: number[]) => new DurationBook(ms.map((m) => took(m))).usual("hv1", "Maintenance");
    expect(of(100)).toEqual({ p50Ms: 100, p95Ms: 200, samples: 1, of: "host" });
    expect(of(100, 50)).toEqual({ p50Ms: 50, p95Ms: 150, samples: 2, of: "host" });
    expect(of(10, 20, 30, 40)).toEqual({ p50Ms: 20, p95Ms: 50, samples: 4, of: "host" });
    expect(of(10, 20, 30, 40, 50)).toEqual({ p50Ms: 30, p95Ms: 50, samples: 5, of: "host" });
    const book = new DurationBook([took(60_000)]);
    expect(estimateOf(book, "hv1", "Maintenance").basis).toBe("usual of 1 on this host, few");
  });

  test("nearest rank: of 14 the longest, of 40 the third longest", () => {
    const minutes = (n: number) =>
      new DurationBook(times(n, (i) => took((i + 1) * 60_000))).usual("hv1", "Maintenance");
    expect(minutes(14)).toMatchObject({ p50Ms: 7 * 60_000, p95Ms: 14 * 60_000 });
    expect(minutes(40)).toMatchObject({ p50Ms: 20 * 60_000, p95Ms: 38 * 60_000 });
    const usual = minutes(14);
    expect(usual && usualText(usual)).toBe("usual is 7m 00s, 95 of 100 end within 14m 00s (of 14 on this host)");
  });

  test("the host's own history counts once there is enough of it, then its cluster's, then the fleet's", () => {
    const book = new DurationBook([
      ...times(FEW, () => took(5, "hv9", "c9")),
      ...times(FEW - 1, () => took(3, "hv2")),
      took(1, "hv1"),
    ]);
    expect(book.usual("hv1", "Maintenance")).toMatchObject({ of: "cluster", samples: FEW });
    expect(book.usual("hv3", "Maintenance", "c1")).toMatchObject({ of: "cluster" });
    expect(book.usual("hv3", "Maintenance")).toMatchObject({ of: "fleet", samples: 2 * FEW });
    expect(book.usual("hv3", "Maintenance", "c7")).toMatchObject({ of: "fleet" });
    expect(book.usual("hv9", "Maintenance")).toMatchObject({ of: "host", p50Ms: 5 });
    book.add(took(7, "hv2"));
    expect(book.usual("hv2", "Maintenance")).toMatchObject({ of: "host", samples: FEW });
  });

  test("only the newest count", () => {
    const book = new DurationBook([...times(30, () => took(1)), ...times(KEPT_PER_HOST, () => took(9))]);
    expect(book.usual("hv1", "Maintenance")).toEqual({ p50Ms: 9, p95Ms: 9, samples: KEPT_PER_HOST, of: "host" });
  });

  test("whatever the samples: 95 of 100 are within p95, which below 20 is no less than the longest", () => {
    fc.assert(
      fc.property(fc.array(duration, { minLength: 1, maxLength: KEPT_PER_HOST }), fc.nat(), (all, turn) => {
        const usual = new DurationBook(all.map((ms) => took(ms))).usual("hv1", "Maintenance");
        if (usual === undefined) throw new Error("nothing");
        const within = (limit: number) => all.filter((ms) => ms <= limit).length;
        expect(usual.samples).toBe(all.length);
        expect(within(usual.p95Ms)).toBeGreaterThanOrEqual(0.95 * all.length);
        expect(within(usual.p50Ms)).toBeGreaterThanOrEqual(0.5 * all.length);
        expect(all).toContain(usual.p50Ms);
        expect(usual.p50Ms).toBeLessThanOrEqual(usual.p95Ms);
        if (all.length < 20) expect(usual.p95Ms).toBeGreaterThanOrEqual(Math.max(...all));
        if (all.length < FEW) expect(usual.p95Ms).toBeGreaterThan(Math.max(...all));
        expect(usual.p95Ms).toBeLessThanOrEqual(2 * Math.max(...all));
        // Their order is no matter.
        const turned = [...all.slice(turn % all.length), ...all.slice(0, turn % all.length)];
        expect(new DurationBook(turned.map((ms) => took(ms))).usual("hv1", "Maintenance")).toEqual(usual);
      }),
    );
  });

  test("one more sample of the longest never makes p95 shorter, once there are enough", () => {
    fc.assert(
      fc.property(fc.array(duration, { minLength: FEW, maxLength: KEPT_PER_HOST - 1 }), (all) => {
        const p95 = (ms: readonly number[]) =>
          new DurationBook(ms.map((m) => took(m))).usual("hv1", "Maintenance")?.p95Ms;
        expect(p95([...all, Math.max(...all)])).toBeGreaterThanOrEqual(p95(all) ?? 0);
      }),
    );
  });
});

describe("how fast instances move", () => {
  test("a fixed part and one per GiB are told apart where sizes differ, and one odd migration does not bend them", () => {
    const samples = [1, 2, 4, 8, 16, 32].map((gib) => moved(3_000 + 1_500 * gib, gib));
    const speed = new DurationBook([...samples, moved(900_000, 2)]).migration("hv1");
    expect(speed).toMatchObject({ of: "host", samples: 7 });
    expect(speed?.fixedMs).toBeCloseTo(3_000);
    expect(speed?.perGibMs).toBeCloseTo(1_500);
    expect(speed && migrationMs(speed, 64 * 1024)).toBe(99_000);
    expect(speed?.p95Factor).toBeCloseTo(150);
  });

  test("between two hosts, either way, before all others", () => {
    const book = new DurationBook([
      ...times(3, () => moved(10_000, 4, "hv1", "hv2")),
      ...times(2, () => moved(10_000, 4, "hv2", "hv1")),
      ...times(20, () => moved(40_000, 4, "hv1", "hv3")),
    ]);
    expect(book.migration("hv1", "hv2")).toMatchObject({ of: "pair", samples: 5 });
    expect(book.migration("hv1", "hv4")).toMatchObject({ of: "host", samples: 23 });
    expect(book.migration("hv4", "hv1", "c1")).toMatchObject({ of: "cluster" });
    expect(book.migration("hv4")).toMatchObject({ of: "fleet" });
    expect(new DurationBook().migration("hv1")).toBeUndefined();
  });

  test("the factor is one of the expected duration, however short that is", () => {
    const speed = new DurationBook([moved(1, 2), moved(9, 3), moved(2, 3), moved(7, 1)]).migration("hv1");
    expect(speed?.p95Factor).toBeCloseTo((7 / ((speed?.fixedMs ?? 0) + (speed?.perGibMs ?? 0))) * 1.25);
  });

  test("whatever the samples: no part is below zero, and 95 of 100 end within the factor", () => {
    const sample = fc.record({ ms: duration, gib: fc.integer({ min: 1, max: 512 }) });
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: KEPT_PER_HOST }), (all) => {
        const speed = new DurationBook(all.map(({ ms, gib }) => moved(ms, gib))).migration("hv1");
        if (speed === undefined) throw new Error("nothing");
        expect(speed.fixedMs).toBeGreaterThanOrEqual(0);
        expect(speed.perGibMs).toBeGreaterThanOrEqual(0);
        expect(speed.p95Factor).toBeGreaterThanOrEqual(1);
        const limit = (gib: number) => (speed.fixedMs + speed.perGibMs * gib) * speed.p95Factor * (1 + 1e-9) + 1;
        expect(all.filter(({ ms, gib }) => ms <= limit(gib)).length).toBeGreaterThanOrEqual(0.95 * all.length);
      }),
    );
  });
});
