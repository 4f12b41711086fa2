import { create } from "@bufbuild/protobuf";
import { operatorWire } from "@slipway/shared/wire";
import { expect, test } from "vitest";
import { renderReport } from "./report.ts";
import { renderHost } from "./tables.ts";
import { plainPaint } from "./text.ts";

test("a host shows what its steps usually take, out of how many", () => {
  const host = create(operatorWire.FleetHostSchema, {
    name: "hv1",
    durations: [
      { kind: "Maintenance", p50Ms: 240_000n, p95Ms: 360_000n, samples: 14, of: "host" },
      { kind: "away", p50Ms: 420_000n, p95Ms: 600_000n, samples: 40, of: "cluster" },
    ],
    migrations: { fixedMs: 2_000n, perGibMs: 1_000n, p95Factor: 1.5, samples: 9, of: "fleet" },
  });
  const lines = renderHost(host, 0, plainPaint);
  expect(lines.slice(lines.findIndex((l) => l.startsWith("STEP")))).toMatchInlineSnapshot(`
    [
      "STEP                USUAL   95 OF 100 WITHIN  OUT OF",
      "Maintenance         4m 00s  6m 00s            14 on this host",
      "away                7m 00s  10m 00s           40 in its cluster",
      "migration of 4 GiB  6 s     9 s               9 in the fleet",
    ]
  `);
  const none = renderHost(create(operatorWire.FleetHostSchema, { name: "hv1" }), 0, plainPaint);
  expect(none.some((l) => l.startsWith("STEP"))).toBe(false);
});

test("a report tells how long each host was out against what was expected", () => {
  const report = create(operatorWire.ReportSchema, {
    run: "4f2a",
    outcome: "failed",
    hosts: [
      { name: "hv1", outcome: "updated", outMs: 612_000n, expectedMs: 600_000n, p95Ms: 900_000n },
      { name: "hv2", outcome: "updated", outMs: 1_200_000n, expectedMs: 600_000n, p95Ms: 900_000n },
      { name: "hv3", outcome: "failed", expectedMs: 600_000n, p95Ms: 900_000n, reason: "Maintenance: exit status 3" },
    ],
  });
  expect(renderReport(report, 0).filter((l) => /^(?:HOST|hv\d)/.test(l))).toMatchInlineSnapshot(`
    [
      "HOST  OUTCOME  TOOK  OUT (EXPECTED)                                     REASON",
      "hv1   updated  -     10m 12s (10m 00s)",
      "hv2   updated  -     20m 00s (10m 00s), late: 95 of 100 within 15m 00s",
      "hv3   failed   -     - (10m 00s)                                        Maintenance: exit status 3",
    ]
  `);
});
