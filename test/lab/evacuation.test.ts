import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  applyPool,
  begin,
  certify,
  countersOf,
  homeOf,
  instancesOf,
  isKnown,
  isLeaving,
  movesOf,
  nothingLeft,
  placesOf,
  planOf,
  ranOn,
} from "./evacuation-kit.ts";
import { CONTROLLER, Pool, unable, until } from "./kit.ts";
import { counter, counts, createGuest, type Guest } from "./lib/guests.ts";

// Hosts are emptied for real: QEMU guests under libvirt are moved while they count. What is believed is the guests' counters and libvirt's
// lists; what Slipway says is compared with them.

const features = { libvirt: true, etcd: true };

/** Slow enough for a guest of 96 MiB to be on its way for some seconds. */
const SLOW = "capacity: { cpuOvercommit: 16 }\nmigration: { bandwidthMib: 10, perHost: 4, perTarget: 4 }\n";
const QUICK = "capacity: { cpuOvercommit: 16 }\nmigration: { perHost: 2 }\n";

const SERVED = `${SLOW}
probes:
  - { name: etcd, system: etcd, from: [hv1, hv2, hv3], settings: { endpoint: "http://{host}:2379" } }
services:
  - { match: "hv*", stop: [{ kind: etcd, settings: { endpoint: "http://{host}:2379" } }] }
`;

let pool: Pool;
let guests: Guest[];
const named = (name: string) => guests.find((g) => g.name === name) as Guest;

describe.skipIf(unable(features) !== undefined)("hosts are emptied", () => {
  beforeAll(async () => {
    pool = await Pool.start("evacuate", 3, features);
    await certify(pool);
    guests = await Promise.all([
      createGuest(pool.lab, "hv1", "g1", { disk: "shared", autostart: true }),
      createGuest(pool.lab, "hv1", "g2"),
      createGuest(pool.lab, "hv2", "g3", { disk: "shared" }),
      createGuest(pool.lab, "hv2", "g4", { autostart: true }),
      createGuest(pool.lab, "hv3", "g5", { disk: "shared" }),
      createGuest(pool.lab, "hv3", "g6"),
    ]);
    await isKnown(pool, ...guests);
  });
  afterAll(() => pool?.stop());

  test("and rebooted, all three in turn: every guest runs on", async () => {
    const boots = await Promise.all(pool.hosts.map(async (host) => (await pool.lab.host(host)).boots));
    const plan = await planOf(pool, "--cluster", "c1", "--op", "reboot");
    expect(plan.blockers).toEqual([]);
    expect(plan.floor).toBe(guests.length);
    const before = countersOf(guests);
    const run = await pool.detach("--cluster", "c1", "--op", "reboot", "--ping-interval", "1");
    const report = await pool.ended(run);
    const story = await pool.story(run);
    expect([report.outcome, ...report.hosts.map((h) => `${h.name} ${h.outcome}`)], story).toEqual([
      "succeeded",
      ...pool.hosts.map((host) => `${host} updated`),
    ]);
    await ranOn(before, story);

    const moves = movesOf(report);
    console.log(`rolling reboot: ${moves.length} moves, floor ${plan.floor}, planned ${plan.moves}`);
    expect(
      moves.every((m) => m.verb === "move" && m.outcome === "moved"),
      story,
    ).toBe(true);
    expect(moves.length, story).toBe(plan.moves);
    expect(moves.length, story).toBeLessThanOrEqual(2 * plan.floor);
    for (const [i, host] of pool.hosts.entries())
      expect((await pool.lab.host(host)).boots, host).toBe((boots[i] ?? 0) + 1);
    // Each is on one host, as its last move says, defined for good; and those that start with their host still do.
    for (const guest of guests) {
      const host = await homeOf(pool, guest);
      expect(moves.findLast((m) => m.name === guest.name)?.to, guest.name).toBe(host);
      const info = await pool.lab.sh(host, `virsh dominfo ${guest.name}`);
      expect(info, guest.name).toMatch(/^Persistent: +yes$/m);
      expect(info, guest.name).toMatch(
        ["g1", "g4"].includes(guest.name) ? /^Autostart: +enable$/m : /^Autostart: +disable$/m,
      );
    }
    await isKnown(pool, ...guests);
    for (const { name, generation } of await instancesOf(pool))
      expect(generation, name).toBe(moves.filter((m) => m.name === name).length);
    await nothingLeft(pool);
  });

  test("and filled again: one guest moved by name, the rest evened out", async () => {
    const before = countersOf(guests);
    const g1 = named("g1");
    const from = await homeOf(pool, g1);
    const to = pool.hosts.find((host) => host !== from) ?? "";
    const moved = await pool.slipway("instance", "move", "g1", "--to", to);
    expect([moved.status, await homeOf(pool, g1)], moved.stdout + moved.stderr).toEqual([0, to]);
    await isKnown(pool, ...guests);
    const even = await pool.slipway("rebalance", "--cluster", "c1", "--max-moves", "6", "--yes");
    // 3: there is nothing to move.
    expect([0, 3], even.stdout + even.stderr).toContain(even.status);
    const homes = await Promise.all(guests.map((guest) => homeOf(pool, guest)));
    for (const host of pool.hosts) expect(homes.filter((h) => h === host).length, even.stdout).toBe(2);
    await ranOn(before);
    await nothingLeft(pool);
  });

  test("alone: paused, off, started meanwhile and switching itself off; and restored", async () => {
    await applyPool(pool, SLOW);
    const walker = await createGuest(pool.lab, "hv3", "walker", { disk: "shared" });
    const paused = await createGuest(pool.lab, "hv3", "paused");
    await createGuest(pool.lab, "hv3", "off", { start: false });
    const newcomer = await createGuest(pool.lab, "hv3", "newcomer", { start: false });
    await pool.lab.sh("hv3", "virsh -q suspend paused");
    const asleep = counter(paused);
    const quitter = await createGuest(pool.lab, "hv3", "quitter", { offAfterS: 10 });
    await isKnown(pool, walker, paused, quitter, newcomer);

    const before = countersOf([walker]);
    const run = await begin(pool, "drain", "hv3");
    await isLeaving(pool, walker, "hv3");
    await pool.lab.sh("hv3", "virsh -q start newcomer");
    const report = await pool.ended(run);
    const story = await pool.story(run);
    expect([report.outcome, report.hosts[0]?.outcome], story).toEqual(["succeeded", "updated"]);
    await ranOn(before, story);
    const places = await placesOf(pool);
    expect(places["off"], story).toEqual(["hv3 shut off"]);
    expect(
      places["quitter"]?.map((p) => p.replace(/^hv\d /, "")),
      story,
    ).toEqual(["shut off"]);
    expect(places["paused"], story).toEqual([expect.stringMatching(/^hv[12] paused$/)]);
    expect(places["newcomer"], story).toEqual([expect.stringMatching(/^hv[12] running$/)]);
    expect(counter(paused)).toEqual(asleep);
    expect(
      Object.values(places)
        .flat()
        .filter((p) => p.startsWith("hv3 ") && p !== "hv3 shut off"),
      story,
    ).toEqual([]);
    expect(story).toContain("newcomer was started on hv3 while it is emptied");

    // It stays out until it is restored; then all that it had comes back, and what is paused wakes up where it was left.
    expect((await pool.slipway("host", "list")).stdout).toMatch(/^hv3 .* cordoned /m);
    await applyPool(pool, QUICK);
    const later = countersOf([walker, newcomer]);
    const back = await pool.ended(await begin(pool, "restore", "hv3", "--return", "exact"));
    const told = await pool.story(back.run);
    expect(back.outcome, told).toBe("succeeded");
    await ranOn(later, told);
    expect(await homeOf(pool, paused, "paused"), told).toBe("hv3");
    await pool.lab.sh("hv3", "virsh -q resume paused");
    expect((await counts(paused, asleep)).token).toBe(asleep?.token);
    for (const guest of [walker, newcomer]) expect(await homeOf(pool, guest), guest.name).toBe("hv3");
    await nothingLeft(pool);
    await pool.lab.sh(
      "hv3",
      "for g in walker paused newcomer; do virsh -q destroy $g; virsh -q undefine $g; done; virsh -q undefine off",
    );
  });

  test("while the controller is killed", async () => {
    await applyPool(pool, SLOW);
    const g1 = named("g1");
    const host = await homeOf(pool, g1);
    await isKnown(pool, ...guests);
    const before = countersOf(guests);
    const run = await begin(pool, "drain", host);
    await isLeaving(pool, g1, host);
    await pool.lab.sh(CONTROLLER, "kill -9 $(systemctl show -p MainPID --value slipway-controller)");
    const report = await pool.ended(run);
    const story = await pool.story(run);
    expect(report.outcome, story).toBe("succeeded");
    await ranOn(before, story);
    for (const guest of guests) expect(await homeOf(pool, guest), story).not.toBe(host);
    // Each was moved once: what was under way was found again.
    expect(
      movesOf(report).every((m) => m.outcome === "moved"),
      story,
    ).toBe(true);
    expect(new Set(movesOf(report).map((m) => m.name)).size, story).toBe(movesOf(report).length);
    await until("the host is back", async () => {
      const restored = await pool.ended(await begin(pool, "restore", host, "--return", "none"));
      return restored.outcome === "succeeded";
    });
    await nothingLeft(pool);
  });

  test("while a second member of a quorum dies: the host's own goes on until that one is back", async () => {
    await applyPool(pool, SERVED);
    await until("etcd is whole", async () => (await pool.slipway("check")).status === 0, 60_000, 500);
    const g1 = named("g1");
    const host = await homeOf(pool, g1);
    const other = pool.hosts.find((one) => one !== host) ?? "";
    await isKnown(pool, ...guests);
    const before = countersOf(guests);
    const { boots } = await pool.lab.host(host);
    const run = await pool.detach("--hosts", host, "--op", "reboot", "--return", "none", "--ping-interval", "1");
    await isLeaving(pool, g1, host);
    await pool.lab.sh(other, "systemctl stop etcd");
    // The gate let it go, the question before services stop does not.
    const no = new RegExp(`host ${host}: recheck: deny \\(.*${other}.* down`);
    await until("the run holds", async () => no.test(await pool.story(run)), 120_000, 500);
    expect((await pool.slipway("why", host)).stdout).toContain(other);
    expect((await pool.lab.exec(host, ["systemctl", "is-active", "etcd"])).status).toBe(0);
    expect((await pool.lab.host(host)).boots).toBe(boots);
    for (const guest of guests) expect(await homeOf(pool, guest), await pool.story(run)).not.toBe(host);

    await pool.lab.sh(other, "systemctl start etcd");
    const report = await pool.ended(run);
    const story = await pool.story(run);
    expect([report.outcome, report.hosts[0]?.outcome], story).toEqual(["succeeded", "updated"]);
    expect(story).toMatch(new RegExp(`host ${host}: recheck: tight[^]*service etcd: ${host}: stopped in`));
    expect((await pool.lab.host(host)).boots).toBe(boots + 1);
    await ranOn(before, story);
    await nothingLeft(pool);
  });
});
