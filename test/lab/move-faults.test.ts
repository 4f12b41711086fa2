import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  applyPool,
  begin,
  countersOf,
  homeOf,
  isKnown,
  isLeaving,
  movesOf,
  nothingLeft,
  placesOf,
  planOf,
  ranOn,
} from "./evacuation-kit.ts";
import { Pool, unable, until } from "./kit.ts";
import { counts, createGuest, type Guest } from "./lib/guests.ts";

// What happens to a guest whose memory is half way to another host when something dies that had a hand in it. No guest is lost or doubled,
// every counter runs on, and the drain ends well: the guest that had to stay is moved again.

/** A guest of 96 MiB is on its way for about ten seconds. */
const POOL = `capacity: { cpuOvercommit: 16 }
migration: { bandwidthMib: 8, perHost: 4, perTarget: 4 }
`;

interface Fault {
  /** `target`: where the guest is going. */
  readonly inflict: (source: string, target: string) => Promise<unknown>;
  /** The migration goes on by itself, as if nothing were. */
  readonly unharmed?: boolean;
  /** The host goes down, and what ran there with it. */
  readonly kills?: "target";
}

const kill = (unit: string) => `systemctl kill -s KILL --kill-whom=main ${unit}`;

const faults: Readonly<Record<string, Fault>> = {
  "the agent of the source is killed": {
    inflict: (source) => pool.lab.sh(source, kill("slipway-agent")),
    unharmed: true,
  },
  "the agent of the target is killed": {
    inflict: (_, target) => pool.lab.sh(target, kill("slipway-agent")),
    unharmed: true,
  },
  "libvirtd of the source is killed": { inflict: (source) => pool.lab.sh(source, kill("libvirtd")) },
  "libvirtd of the target is killed": { inflict: (_, target) => pool.lab.sh(target, kill("libvirtd")) },
  "the target loses power": { inflict: (_, target) => pool.lab.powercut(target), kills: "target" },
};

let pool: Pool;
let guests: Guest[];

describe.skipIf(unable({ libvirt: true }) !== undefined)("in the middle of a migration", () => {
  beforeAll(async () => {
    pool = await Pool.start("faults", 3, { libvirt: true });
    await applyPool(pool, POOL);
    guests = await Promise.all([
      createGuest(pool.lab, "hv1", "mover", { disk: "shared" }),
      createGuest(pool.lab, "hv1", "second"),
    ]);
    await isKnown(pool, ...guests);
  });
  afterAll(() => pool?.stop());

  test.each(Object.entries(faults))("%s", async (_name, fault) => {
    const [mover] = guests as [Guest];
    const source = await homeOf(pool, mover);
    for (const host of pool.hosts) await pool.connected(host);
    await isKnown(pool, ...guests);
    const before = countersOf(guests);
    const run = await begin(pool, "drain", source);
    await isLeaving(pool, mover, source);
    const target = await targetOf(source, mover);
    const boots = (await pool.lab.host(target)).boots;
    await fault.inflict(source, target);

    const report = await pool.ended(run);
    const story = await pool.story(run);
    expect([report.outcome, report.hosts[0]?.outcome], story).toEqual(["succeeded", "updated"]);
    // The host that lost power is up again: only then can it be said that nothing is there twice.
    if (fault.kills) await pool.lab.waitForBoot(target, boots + 1);
    await ranOn(before, story);
    for (const guest of guests) expect(await homeOf(pool, guest), story).not.toBe(source);
    const moves = movesOf(report).filter((m) => m.name === "mover");
    expect(moves.at(-1)?.outcome, story).toBe("moved");
    if (fault.unharmed)
      expect(
        moves.map((m) => m.outcome),
        story,
      ).toEqual(["moved"]);
    else
      expect(
        moves.slice(0, -1).map((m) => m.outcome),
        story,
      ).toContain("stayed");

    for (const host of pool.hosts) await pool.connected(host);
    const restored = await pool.ended(await begin(pool, "restore", source, "--return", "none"));
    expect(restored.outcome, await pool.story(restored.run)).toBe("succeeded");
    await nothingLeft(pool);
    // Whoever is asked now plans as if nothing had been.
    expect((await planOf(pool, "--cluster", "c1", "--op", "reboot")).blockers).toEqual([]);
  });

  test("the source loses power, and its guests with it: they are off, in one place, and nobody starts them elsewhere", async () => {
    const [mover] = guests as [Guest];
    const source = await homeOf(pool, mover);
    await isKnown(pool, ...guests);
    const homes = await Promise.all(guests.map(async (guest) => [guest, await homeOf(pool, guest)] as const));
    const lost = homes.filter(([, host]) => host === source).map(([guest]) => guest);
    const run = await begin(pool, "drain", source);
    await isLeaving(pool, mover, source);
    const { boots } = await pool.lab.host(source);
    await pool.lab.powercut(source);
    await pool.lab.waitForBoot(source, boots + 1);
    const report = await pool.ended(run);
    const story = await pool.story(run);
    const places = await placesOf(pool);
    for (const { name } of lost) expect(places[name], story).toEqual([`${source} shut off`]);
    // The report names each of them.
    const ended = movesOf(report).filter((m) => m.outcome === "ended");
    expect(ended.map((m) => m.name).sort(), story).toEqual(lost.map((guest) => guest.name).sort());
    // They boot anew where they were, by an operator's hand.
    await pool.connected(source);
    const restored = await pool.ended(await begin(pool, "restore", source, "--return", "none"));
    expect(restored.outcome, await pool.story(restored.run)).toBe("succeeded");
    await pool.lab.sh(source, `virsh -q start ${mover.name}`);
    await counts(mover);
    await nothingLeft(pool);
  });

  /** Where a guest on its way arrives, by the libvirt there. */
  async function targetOf(source: string, guest: Guest): Promise<string> {
    let found: string | undefined;
    await until(`${guest.name} arrives somewhere`, async () => {
      for (const host of pool.hosts.filter((h) => h !== source))
        if ((await pool.lab.exec(host, ["virsh", "-q", "domstate", guest.name])).stdout.trim() === "paused")
          found = host;
      return found !== undefined;
    });
    return found ?? "";
  }
});
