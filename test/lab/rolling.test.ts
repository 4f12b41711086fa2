import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  applyPool,
  countersOf,
  homeOf,
  isKnown,
  movesOf,
  nothingLeft,
  type Plan,
  placesOf,
  planOf,
  ranOn,
} from "./evacuation-kit.ts";
import { CONTROLLER, Pool, unable, until } from "./kit.ts";
import { etcdIsHealthy, membersOf } from "./lib/etcd.ts";
import { counts, createGuest, type Guest } from "./lib/guests.ts";
import { putFile } from "./lib/lab.ts";

// Runs that go by their schedule: two hosts out at once where the quorum of a real etcd allows it, guests that count on every host, and a
// guest that nobody had planned for. What is believed is the guests' counters, libvirt's lists, the lab's power supply and etcd itself.

const features = { libvirt: true, etcd: true };
const hosts = ["hv1", "hv2", "hv3", "hv4"];
const members = membersOf("etcd", hosts);
const endpoints = members.map((host) => `http://${host}:2379`).join(",");

const poolFile = `
capacity: { cpuOvercommit: 16 }
migration: { perHost: 2 }
quorum:
  - name: etcd
    needed: 2
    members:
${members.map((host) => `      - { host: ${host}, check: { system: tcp, settings: { address: "${host}:2379" } } }`).join("\n")}
`;

/**
 * Writes to etcd without a pause, from a host that stays; what fails is kept. Only a write whose connection its member closes as it ends is
 * said once more: etcd's client does that by itself for what changes nothing only.
 */
const writer = `#!/bin/sh
export ETCDCTL_API=3
i=0
while [ ! -e /var/lib/stop-writing ]; do
  i=$((i + 1))
  put() { etcdctl --endpoints ${endpoints} --command-timeout 10s put key "$i" > /dev/null 2> /var/lib/etcdctl.last; }
  if ! put; then
    cat /var/lib/etcdctl.last >> /var/lib/etcdctl.log
    { grep -q "transport is closing" /var/lib/etcdctl.last && put; } || echo "write $i" >> /var/lib/failed
  fi
  echo "$i" > /var/lib/written
  sleep 0.1
done
`;

interface Move {
  readonly name: string;
  readonly from: string;
  readonly to: string;
}
/** As `plan --json` prints it. */
interface Schedule {
  readonly turns: readonly { readonly host: string; readonly after: readonly string[] }[];
  readonly moves: readonly Move[];
}

let pool: Pool;
let guests: Guest[];

describe.skipIf(unable(features) !== undefined)("a run that goes by its schedule", () => {
  beforeAll(async () => {
    pool = await Pool.start("rolling", hosts.length, features);
    await applyPool(pool, poolFile);
    putFile(pool.lab, CONTROLLER, "/usr/local/bin/lab-writer", writer, 0o755);
    guests = await Promise.all(
      hosts.flatMap((host, i) => [
        createGuest(pool.lab, host, `g${2 * i + 1}`, { disk: "shared" }),
        createGuest(pool.lab, host, `g${2 * i + 2}`),
      ]),
    );
    await createGuest(pool.lab, "hv1", "late", { start: false });
    await etcdIsHealthy(pool.lab, hosts);
    await isKnown(pool, ...guests);
  });
  afterAll(() => pool?.stop());

  const flags = ["--cluster", "c1", "--op", "reboot", "--max-out", "2"];

  const file = (path: string) => {
    const at = pool.lab.path(CONTROLLER, path);
    return existsSync(at) ? readFileSync(at, "utf8").trim() : "";
  };

  /** Runs something while etcd is written to, and looks which hosts are without power meanwhile. */
  async function watched<T>(work: () => Promise<T>): Promise<T> {
    await pool.lab.sh(CONTROLLER, "rm -f /var/lib/failed /var/lib/written /var/lib/stop-writing");
    await pool.lab.sh(CONTROLLER, "systemd-run --unit=lab-writer --collect /usr/local/bin/lab-writer");
    await until("the writer writes", () => Number(file("/var/lib/written")) > 3, 60_000, 250);
    const down = new Set<string>();
    const timer = setInterval(async () => {
      const off = (await pool.lab.status().catch(() => [])).filter((h) => h.state !== "up").map((h) => h.name);
      if (off.filter((name) => members.includes(name)).length > 1) down.add(off.join(" and "));
    }, 200);
    try {
      return await work();
    } finally {
      clearInterval(timer);
      await pool.lab.sh(CONTROLLER, "touch /var/lib/stop-writing");
      await until(
        "the writer ends",
        async () => (await pool.lab.exec(CONTROLLER, ["systemctl", "is-active", "lab-writer"])).status !== 0,
        60_000,
        250,
      );
      expect(file("/var/lib/failed"), file("/var/lib/etcdctl.log")).toBe("");
      expect([...down], "two members of etcd down at once").toEqual([]);
    }
  }

  /** Of each host, as lines of the run's log: the begin of its turn, and from when to when it was out. */
  function turns(story: string): Map<string, { readonly begin: number; readonly from: number; readonly to: number }> {
    const lines = story.split("\n");
    const at = (host: string, what: string) => {
      const found = lines.findIndex((line) => line.includes(` host ${host}: ${what}`));
      expect(found, `${host}: ${what} in\n${story}`).toBeGreaterThan(-1);
      return found;
    };
    return new Map(
      hosts.map((host) => {
        const [begin, to] = [at(host, "checked => inspecting"), at(host, "uncordoning => ")];
        return [host, { begin, from: at(host, "gate => cordoning"), to }];
      }),
    );
  }

  /** Pairs of hosts that were out at the same time. */
  function together(story: string): string[] {
    const out = [...turns(story)];
    return out.flatMap(([a, one], i) =>
      out.slice(i + 1).flatMap(([b, other]) => (one.from < other.to && other.from < one.to ? [`${a} ${b}`] : [])),
    );
  }

  const scheduleOf = (plan: Plan): Schedule => {
    const { schedule } = plan as { schedule?: Schedule };
    expect([plan.blockers, schedule?.turns.length]).toEqual([[], hosts.length]);
    return schedule as Schedule;
  };

  /** Those of one guest stay in their order. */
  const sorted = (moves: readonly Move[]) =>
    moves
      .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
      .map((m) => `${m.name}: ${m.from} -> ${m.to}`);

  test("has two hosts out at once, never two members of a quorum group, and does what the plan said", async () => {
    const plan = scheduleOf(await planOf(pool, ...flags));
    const boots = await Promise.all(hosts.map(async (host) => (await pool.lab.host(host)).boots));
    const before = countersOf(guests);
    const report = await watched(() => pool.roll(...flags, "--ping-interval", "1"));
    const story = await pool.story(report.run);
    expect([report.outcome, ...report.hosts.map((h) => `${h.name} ${h.outcome}`)], story).toEqual([
      "succeeded",
      ...report.hosts.map((h) => `${h.name} updated`),
    ]);
    await ranOn(before, story);
    for (const [i, host] of hosts.entries()) expect((await pool.lab.host(host)).boots, host).toBe((boots[i] ?? 0) + 1);

    const pairs = together(story);
    expect(pairs, story).toContainEqual(expect.stringMatching(/^hv[123] hv4$/));
    expect(
      pairs.filter((pair) => !pair.includes("hv4")),
      story,
    ).toEqual([]);

    // In the order of the plan, with its moves and no others.
    const done = turns(story);
    const began = [...done].sort(([, a], [, b]) => a.begin - b.begin).map(([host]) => host);
    expect(began, story).toEqual(plan.turns.map(({ host }) => host));
    for (const { host, after } of plan.turns)
      for (const other of after)
        expect(done.get(other)?.to, `${other} before ${host}\n${story}`).toBeLessThan(done.get(host)?.from ?? 0);
    expect(sorted(movesOf(report)), story).toEqual(sorted(plan.moves));
    expect(story).not.toContain("planned anew");
    for (const guest of guests)
      expect(movesOf(report).findLast((m) => m.name === guest.name)?.to, guest.name).toBe(await homeOf(pool, guest));
    await isKnown(pool, ...guests);
    await nothingLeft(pool);
  });

  test("is planned anew when a guest is started in its middle, and goes on", async () => {
    const plan = scheduleOf(await planOf(pool, ...flags));
    // On a host whose turn is still to come.
    const [first = "", last = ""] = [plan.turns[0]?.host, plan.turns.at(-1)?.host];
    const late: Guest = { lab: pool.lab, name: "late" };
    if (last !== "hv1") {
      const xml = await pool.lab.sh("hv1", "virsh dumpxml --inactive late && virsh -q undefine late");
      putFile(pool.lab, last, "/var/tmp/late.xml", xml);
      await pool.lab.sh(last, "virsh -q define /var/tmp/late.xml");
    }
    await until("it is known", async () => (await pool.slipway("instance", "list")).stdout.includes("late"));
    const before = countersOf(guests);
    const report = await watched(async () => {
      const run = await pool.detach(...flags, "--ping-interval", "1");
      await until(`${first} goes`, async () => (await pool.lab.host(first)).state !== "up", 120_000, 200);
      await pool.lab.sh(last, "virsh -q start late");
      before.set(late, await counts(late, undefined));
      return pool.ended(run);
    });
    const story = await pool.story(report.run);
    expect(report.outcome, story).toBe("succeeded");
    expect(story).toMatch(/run \S+: planned anew \(.*\): .*also moves .*late/);
    await ranOn(before, story);
    expect(movesOf(report).filter((m) => m.name === "late" && m.outcome === "moved").length, story).toBeGreaterThan(0);
    expect((await placesOf(pool))["late"]).toEqual([expect.stringMatching(/^hv\d running$/)]);
    expect(
      together(story).filter((pair) => !pair.includes("hv4")),
      story,
    ).toEqual([]);
    await nothingLeft(pool);
  });
});
