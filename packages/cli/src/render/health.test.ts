import { readPool } from "@slipway/controller/pool";
import type { operatorWire } from "@slipway/shared/wire";
import { describe, expect, test } from "vitest";
import { renderDiscovered } from "./discovered.ts";
import { isWell, renderHealth } from "./health.ts";
import { plainPaint, width } from "./text.ts";

const member = (name: string, change: Partial<operatorWire.MemberCheck> = {}) =>
  ({ name, host: name, votes: 1, state: "up", roles: [], note: "", ...change }) as unknown as operatorWire.MemberCheck;
const set = (members: operatorWire.MemberCheck[], change: Partial<operatorWire.SetCheck> = {}) =>
  ({
    name: "members",
    needed: 2,
    up: 3,
    margin: 1,
    repairing: "",
    members,
    ...change,
  }) as unknown as operatorWire.SetCheck;
const system = (name: string, change: Partial<operatorWire.SystemCheck> = {}) =>
  ({
    ...{ name, kind: "etcd", state: "healthy", reasons: [], seenFrom: ["hv1", "hv2"], views: [] },
    sets: [set([member("hv1", { roles: ["leader"] }), member("hv2"), member("hv3")])],
    ...change,
  }) as unknown as operatorWire.SystemCheck;
const standing = (host: string, verdict: string, ...texts: string[]) =>
  ({
    ...{ host, verdict },
    reasons: texts.map((text) => ({ rule: "", subject: "etcd-main", text, fix: "" })),
  }) as unknown as operatorWire.HostStanding;
const render = (systems: operatorWire.SystemCheck[], hosts: operatorWire.HostStanding[], safeSet: string[] = []) =>
  renderHealth({ systems, hosts, safeSet }, plainPaint, 100);

describe("the health page", () => {
  test("shows systems with their members and margin, then hosts, then who could go together", () => {
    const lines = render(
      [system("etcd-main")],
      [standing("hv1", "tight", "etcd-main: without hv1 there is no margin left"), standing("hv10", "ok")],
      ["hv1", "hv10"],
    );
    expect(lines).toEqual([
      "etcd-main (etcd): healthy, seen from hv1, hv2",
      "  members: 3 of 3 up, 2 needed, 1 more may go",
      "    hv1  hv1  up  leader",
      "    hv2  hv2  up  -",
      "    hv3  hv3  up  -",
      "",
      "could it go down now?",
      "  hv1   could go, then none  etcd-main: without hv1 there is no margin left",
      "  hv10  could go",
      "",
      "together could go: hv1, hv10",
      "1 system, all healthy",
    ]);
  });

  test("names what is ill, and says of hosts only what the page has not said yet", () => {
    const ill = system("etcd-main", { state: "unknown", reasons: ["seen from hv1: no answer"], sets: [] });
    const lines = render(
      [ill, system("etcd-b")],
      [standing("hv1", "unknown", "etcd-main cannot be read: seen from hv1: no answer")],
    );
    expect(lines).toContain("  ! seen from hv1: no answer");
    expect(lines).toContain("  hv1  not known: stays  etcd-main cannot be read");
    expect(lines.at(-1)).toBe("1 of 2 systems not healthy: etcd-main");
    expect([isWell({ systems: [ill] }), isWell({ systems: [system("x")] })]).toEqual([false, true]);
  });

  test("keeps within the terminal, whatever systems say, and lets nobody write to it", () => {
    const long = "heal info: 12 entries \x1b[2J to heal on brick hv1:/srv/gluster/brick-1 ".repeat(6);
    const lines = render(
      [
        system("gv0", {
          ...{ kind: "gluster", state: "degraded", reasons: [long] },
          seenFrom: Array.from({ length: 40 }, (_, i) => `hypervisor-${i}`),
          sets: [
            set([member("hv1:/srv/gluster/brick-1", { host: "hv1", state: "down", note: long })], {
              margin: -1,
              repairing: long,
            }),
          ],
          views: [
            {
              ...{ from: "hv1", state: "degraded", reasons: [long], version: "10.3" },
              evidence: [{ asked: `gluster ${long}`, exitCode: 1, answer: `<a>\n  ${"x".repeat(300)}\x1b]0;t\x07` }],
            } as unknown as operatorWire.ViewCheck,
          ],
        }),
      ],
      [standing("hv1", "deny", long)],
    );
    for (const line of lines) {
      expect(width(line), line).toBeLessThanOrEqual(100);
      expect(line).not.toMatch(/\p{Cc}/u);
    }
    expect(lines.join("\n")).toMatch(/x{90}/);
    expect(lines.join("\n")).toMatch(/too few are up/);
  });

  test("an empty pool file is told as such", () => {
    expect(render([], [])).toEqual([expect.stringMatching(/there is no system to look at/)]);
  });
});

describe("what was discovered", () => {
  const found = {
    asked: ["hv1", "hv2"],
    unclear: [{ text: "gluster on hv2: no daemon\n- evil: yes" }],
    systems: [
      {
        name: "etcd",
        system: "etcd",
        state: "healthy",
        version: "3.4",
        from: ["hv1", "hv2"],
        aliases: { "10.0.0.1": "hv1", "fe80::1": "hv2" },
        unplaced: ["10.0.0.9"],
        sets: [set([member("a", { host: "hv1" })])],
        knownAs: "",
      },
      {
        name: "fleet",
        system: "fleet",
        state: "degraded",
        version: "",
        from: ["hv1"],
        aliases: {},
        unplaced: [],
        sets: [],
        knownAs: "",
      },
      {
        name: "ceph-1",
        system: "ceph",
        state: "healthy",
        version: "",
        from: ["hv1"],
        aliases: {},
        unplaced: [],
        sets: [],
        knownAs: "ceph-1",
      },
    ],
  } as unknown as operatorWire.DiscoverSystemsResponse;

  test("is a pool file as it stands", () => {
    const { problems, quorum } = readPool(renderDiscovered(found).join("\n"));
    expect(problems).toEqual([]);
    expect(quorum.probes).toMatchObject([
      { name: "etcd", system: "etcd", from: ["hv1", "hv2"], aliases: { "10.0.0.1": "hv1", "fe80::1": "hv2" } },
      { name: "fleet", system: "fleet", from: ["hv1"] },
    ]);
  });
  test("tells margins, and what is still to be said", () => {
    const text = renderDiscovered(found).join("\n");
    expect(text).toMatch(/# members: 3 up, 2 needed, 1 more may go: a on hv1/);
    expect(text).toMatch(/# which hosts are 10\.0\.0\.9\?/);
    expect(text).toMatch(/# ceph on hv1 is in the pool file already, as ceph-1/);
  });
  test("may be nothing", () => {
    const lines = renderDiscovered({ asked: ["hv1"], unclear: [], systems: [] });
    expect(lines).toEqual(["# asked hv1; nothing of this is used before slipway pool apply", "# no system was found"]);
    expect(readPool(lines.join("\n")).problems).toEqual([]);
  });
});
