import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { Pool, type Report, type SeedInstance, until } from "./kit.ts";

let pool: Pool | undefined;
afterEach(() => pool?.stop());

const hosts = Object.fromEntries(["hv1", "hv2", "hv3"].map((name) => [name, { cluster: "c1", zone: "z1" }]));
const start = async (instances: Record<string, readonly SeedInstance[]>) => {
  pool = await Pool.start(hosts, { instances });
  return pool;
};

/** Everything that there is, wherever it is: lost and doubled instances show. */
const everything = (p: Pool) => Object.values(p.world()).flat().sort();
const moves = (report: Report) =>
  report.hosts.flatMap((h) => h.instances.map((i) => `${h.name}: ${i.name} ${i.from}->${i.to} ${i.outcome}`));
/** A Maintenance hook that writes down what is on its host. */
const looking = (p: Pool) =>
  p.hook(
    "Maintenance",
    `grep -ho '"name": *"[^"]*"' "${p.dir}/world/$SLIPWAY_HOST"/*.json | sort > "${p.dir}/seen.$SLIPWAY_HOST"; true`,
  );
const seen = (p: Pool, host: string) =>
  [...readFileSync(join(p.dir, `seen.${host}`), "utf8").matchAll(/"name": *"([a-z]+\d?)"/g)].map((m) => m[1]);

test("a rolling maintenance: every host is empty for its hook, every instance runs on, with no more moves than planned", async () => {
  const p = await start({
    hv1: [{ name: "web1" }, { name: "db1", metadata: { policy: "shutdown-restart" } }],
    hv2: [{ name: "web2" }, { name: "home2", metadata: { home: "hv2" } }],
    hv3: [{ name: "web3" }, { name: "monitor", metadata: { policy: "leave" } }],
  });
  looking(p);
  const plan = JSON.parse((await p.slipway("--json", "plan", "--cluster", "c1")).stdout) as {
    moves: number;
    floor: number;
    waves: { hosts: { host: string; instances: { name: string; action: string; host: string }[] }[] }[];
  };
  expect(plan.floor).toBe(4);
  expect(plan.moves).toBeGreaterThanOrEqual(plan.floor);
  const planned = plan.waves.flatMap((w) =>
    w.hosts.flatMap((h) => h.instances.map((i) => `${h.host} ${i.action} ${i.name}`)),
  );
  expect(planned).toEqual(
    expect.arrayContaining(["hv1 migrate web1", "hv1 shutdown-restart db1", "hv2 return home2", "hv3 leave monitor"]),
  );
  const { status, report } = await p.roll("--cluster", "c1");
  expect([status, report.outcome, report.ledger]).toEqual([0, "succeeded", []]);
  expect(report.hosts.flatMap((h) => h.notes)).toEqual([]);
  // What is defined there but off is no instance that could suffer.
  expect(seen(p, "hv1")).toEqual(["db1"]);
  expect(seen(p, "hv2")).toEqual([]);
  expect(seen(p, "hv3")).toEqual(["monitor"]);
  expect(everything(p)).toEqual(["db1", "home2", "monitor", "web1", "web2", "web3"]);
  expect(moves(report)).toContainEqual(expect.stringMatching(/^hv2: home2 hv\d->hv2 moved$/));
  expect(p.world()["hv2"]).toContain("home2");
  expect(p.world()["hv1"]).toContain("db1");
  expect(moves(report).filter((m) => m.endsWith(" moved"))).toHaveLength(plan.moves);
  expect(moves(report)).toEqual(expect.arrayContaining(["hv1: db1 hv1-> stopped", "hv1: db1 hv1-> started"]));
});

test("drain and restore alone: the host stays empty and cordoned in between, and gets back what was its own", async () => {
  const p = await start({ hv1: [{ name: "web1" }, { name: "db1", metadata: { policy: "shutdown-restart" } }] });
  const drain = await p.slipway("drain", "hv1");
  expect([drain.status, drain.stderr]).toEqual([0, ""]);
  expect(p.world()["hv1"]).toEqual(["db1 (shutoff)"]);
  const ledger = await p.slipway("ledger");
  expect(ledger.stdout).toMatch(/hv1 +cordon .*slipway restore hv1/);
  expect(ledger.stdout).toMatch(/hv1 +stop db1 .*slipway restore hv1/);
  expect((await p.slipway("instance", "move", "web1", "--to", "hv1")).stdout).toMatch(/hv1 is cordoned/);
  const restore = await p.slipway("restore", "hv1", "--return", "exact");
  expect([restore.status, restore.stderr]).toEqual([0, ""]);
  expect(p.world()["hv1"]).toEqual(["db1", "web1"]);
  expect((await p.slipway("ledger")).stdout).toBe("nothing stands: every change was undone\n");
});

test("an instance is moved by name; one that cannot move is refused with its reason, and stays", async () => {
  const p = await start({
    hv1: [{ name: "web1" }, { name: "gpu1", devices: [{ kind: "pci", name: "0000:3b:00.0" }] }],
  });
  expect((await p.slipway("instance", "move", "web1", "--to", "hv3")).status).toBe(0);
  const refused = await p.slipway("instance", "move", "gpu1", "--to", "hv3");
  expect([refused.status, refused.stdout]).toEqual([1, expect.stringMatching(/gpu1.*0000:3b:00\.0/)]);
  expect(p.world()).toEqual({ hv1: ["gpu1"], hv2: [], hv3: ["web1"] });
});

test("what cannot move needs consent: without it nothing is touched, with it it is stopped and started again", async () => {
  const p = await start({
    hv1: [{ name: "gpu1", devices: [{ kind: "pci", name: "0000:3b:00.0" }] }, { name: "web1" }],
  });
  looking(p);
  const plan = await p.slipway("plan", "--cluster", "c1");
  expect([plan.status, plan.stdout]).toEqual([1, expect.stringMatching(/gpu1.*0000:3b:00\.0.*--consent-stop gpu1/)]);
  const without = await p.roll("--cluster", "c1");
  expect([without.status, without.report.outcome, moves(without.report)]).toEqual([1, "failed", []]);
  expect(p.world()["hv1"]).toEqual(["gpu1", "web1"]);
  expect((await p.slipway("start", "--cluster", "c1", "--consent-stop", "gpu7")).stderr).toMatch(
    /consent-stop "gpu7": there is none of that name or uuid; did you mean gpu1\?/,
  );
  const { status, report } = await p.roll("--cluster", "c1", "--consent-stop", "gpu1");
  expect([status, report.outcome]).toEqual([0, "succeeded"]);
  expect(seen(p, "hv1")).toEqual(["gpu1"]);
  expect(p.world()["hv1"]).toContain("gpu1");
  expect(moves(report)).toEqual(expect.arrayContaining(["hv1: gpu1 hv1-> stopped", "hv1: gpu1 hv1-> started"]));
});

describe("in the middle of a migration", () => {
  // Three seconds for each, two at a time: long enough to be hit.
  const slow = (n: number) => Array.from({ length: n }, (_, i) => ({ name: `vm${i + 1}`, slow: 3 }));
  const isMoving = async (p: Pool, run: string) => {
    const { stdout } = await p.steadily("--json", "show", run);
    const view = JSON.parse(stdout) as { hosts: { instances: { verb: string; outcome: string; to: string }[] }[] };
    return view.hosts.flatMap((h) => h.instances).find((i) => i.verb === "move" && i.outcome === "running");
  };

  test.each(["controller", "source", "target"])(
    "the %s is killed: nothing is lost, nothing is doubled, the host gets empty",
    async (what) => {
      const p = await start({ hv1: slow(4) });
      const { stdout } = await p.slipway("--json", "drain", "hv1", "--detach");
      const { run } = JSON.parse(stdout) as { run: string };
      let move: Awaited<ReturnType<typeof isMoving>>;
      await until("a migration", async () => {
        move = await isMoving(p, run);
        return move !== undefined;
      });
      expect(p.kill(what === "source" ? "hv1" : what === "target" ? (move?.to ?? "") : "controller")).toBe(true);
      await p.steadily("watch", run);
      const report = await p.report(run);
      expect([report.outcome, p.world()["hv1"], everything(p)]).toEqual([
        "succeeded",
        [],
        ["vm1", "vm2", "vm3", "vm4"],
      ]);
    },
  );
});
