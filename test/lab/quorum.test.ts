import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CONTROLLER, Pool, unable, until } from "./kit.ts";
import { etcdIsHealthy } from "./lib/etcd.ts";
import { putFile } from "./lib/lab.ts";

const features = { etcd: true, gluster: true };
const endpoints = ["hv1", "hv2", "hv3"].map((host) => `http://${host}:2379`).join(",");

const poolFile = `
probes:
  - { name: etcd, system: etcd, from: [hv1, hv2, hv3], settings: { endpoint: "http://{host}:2379" } }
  # Hosts are asked one after another, and gluster itself gives up much later on a peer that is cut off.
  - { name: gluster, system: gluster, from: [hv1, hv2, hv3], timeout: 10s }
services:
  - match: "hv*"
    stop:
      - kind: gluster-mounts
      - kind: gluster
      - kind: etcd
        settings: { endpoint: "http://{host}:2379" }
`;

/**
 * Writes to both volumes and to etcd without a pause; whatever fails is kept. Only a put whose connection its member closes as it ends is said once more:
 * etcd's client does that by itself for what changes nothing only.
 */
const writer = `#!/bin/sh
export ETCDCTL_API=3
mount /mnt/rep3 && mount /mnt/arb || echo "not mounted" >> /var/lib/failed
i=0
while [ ! -e /var/lib/stop-writing ]; do
  i=$((i + 1))
  for volume in rep3 arb; do echo "$i" > "/mnt/$volume/of-$(hostname).$((i % 40))" || echo "$volume: write $i" >> /var/lib/failed; done
  put() { etcdctl --endpoints ${endpoints} --command-timeout 10s put "of-$(hostname)" "$i" > /dev/null 2> /var/lib/etcdctl.last; }
  if ! put; then
    cat /var/lib/etcdctl.last >> /var/lib/etcdctl.log
    { grep -q "transport is closing" /var/lib/etcdctl.last && put; } || echo "etcd: write $i" >> /var/lib/failed
  fi
  echo "$i" > /var/lib/written
  sleep 0.1
done
umount /mnt/rep3 /mnt/arb || echo "not unmounted" >> /var/lib/failed
`;

/** What each member says, over and over, until the writer ends: its own id and that of the leader that it sees, or that it is silent. */
const watcher = `#!/bin/sh
export ETCDCTL_API=3
for host in "$@"; do
  rm -f "/var/lib/leader-of-$host"
  while [ ! -e /var/lib/stop-writing ]; do
    said=$(etcdctl --endpoints "http://$host:2379" --dial-timeout 1s --command-timeout 1s -w json endpoint status 2> /dev/null |
      sed -n 's/.*"member_id":\\([0-9]*\\).*"leader":\\([0-9]*\\).*/\\1 \\2/p')
    echo "\${said:-silent}" >> "/var/lib/leader-of-$host"
    sleep 0.05
  done &
done
wait
`;

const reason = unable(features);

describe.skipIf(reason !== undefined)(`quorums of real systems${reason ? ` (skipped: ${reason})` : ""}`, () => {
  let pool: Pool;

  beforeAll(async () => {
    pool = await Pool.start("quorum", 3, { etcd: true, gluster: true });
    putFile(pool.lab, CONTROLLER, "/root/pool.yaml", poolFile, 0o644);
    for (const host of pool.hosts) {
      putFile(pool.lab, host, "/usr/local/bin/lab-writer", writer, 0o755);
      putFile(pool.lab, host, "/usr/local/bin/lab-leaders", watcher, 0o755);
    }
    const applied = await pool.slipway("pool", "apply", "/root/pool.yaml");
    expect(applied.status, applied.stderr).toBe(0);
  }, 180_000);
  afterAll(async () => pool?.stop(), 60_000);

  const file = (host: string, path: string) => {
    const at = pool.lab.path(host, path);
    return existsSync(at) ? readFileSync(at, "utf8").trim() : "";
  };

  /** All systems answer and are whole, as Slipway itself sees it. */
  const whole = (limitMs = 120_000) =>
    until("every system is whole", async () => (await pool.slipway("check")).status === 0, limitMs, 1_000);

  beforeEach(() => whole());

  async function writing(host: string, work: () => Promise<void>): Promise<void> {
    await pool.lab.sh(host, "rm -f /var/lib/failed /var/lib/written /var/lib/stop-writing");
    await pool.lab.sh(host, "systemd-run --unit=lab-writer --collect /usr/local/bin/lab-writer");
    try {
      await until("the writer writes", () => Number(file(host, "/var/lib/written")) > 3, 60_000, 250);
      await work();
    } finally {
      await pool.lab.sh(host, "touch /var/lib/stop-writing");
      await until(
        "the writer ends",
        async () => (await pool.lab.exec(host, ["systemctl", "is-active", "lab-writer"])).status !== 0,
        60_000,
        250,
      );
    }
    expect(file(host, "/var/lib/failed"), file(host, "/var/lib/etcdctl.log")).toBe("");
  }

  const etcdctl = async (words: string) =>
    (await pool.lab.sh("hv1", `ETCDCTL_API=3 etcdctl --endpoints ${endpoints} ${words}`)).trim();

  /** By name, in etcd's own words: hexadecimal. */
  async function memberIds(): Promise<Record<string, string>> {
    const rows = (await etcdctl("member list")).split("\n").map((row) => row.split(", "));
    return Object.fromEntries(rows.map(([id = "", , name = ""]) => [name, id]));
  }

  async function unstarted(): Promise<string> {
    const row = (await etcdctl("member list")).split("\n").find((one) => one.includes("unstarted"));
    return row?.split(", ")[0] ?? "nobody";
  }

  async function makeLeader(host: string): Promise<void> {
    const leads = async () => {
      const rows = (await etcdctl("endpoint status")).split("\n").map((row) => row.split(", "));
      return rows.some(([endpoint, , , , isLeader]) => endpoint === `http://${host}:2379` && isLeader === "true");
    };
    if (!(await leads())) await etcdctl(`move-leader ${(await memberIds())[host]}`);
    expect(await leads()).toBe(true);
  }

  /** By what the member itself said last before it was silent for longest: it had led, and saw another one lead. */
  function handedOver(host: string, on: string): void {
    const said = file(on, `/var/lib/leader-of-${host}`);
    const lines = said.split("\n");
    let [end, longest] = [0, 0];
    for (let i = 0, length = 0; i < lines.length; i++) {
      length = lines[i] === "silent" ? length + 1 : 0;
      if (length > longest) [end, longest] = [i, length];
    }
    const before = lines.slice(0, end - longest + 1).filter((line) => line !== "silent");
    expect(
      before.some((line) => /^(\d+) \1$/.test(line)),
      `${host} led\n${said}`,
    ).toBe(true);
    expect(before.at(-1), `${host} before it stopped\n${said}`).toMatch(/^(\d+) (?!0$|\1$)\d+$/);
  }

  /** While one host is away, nobody heals what it misses: it is held back until somebody does, and the next one stays in service. */
  async function heldByHeal(run: string, host: string, others: readonly string[]): Promise<void> {
    const healers = async (signal: string) => {
      // The bracket keeps the shell that says this from being found.
      for (const other of others) await pool.lab.sh(other, `pkill -${signal} -f '[p]rocess-name glustershd'`);
    };
    await until(`${host} goes`, async () => (await pool.lab.host(host)).state !== "up", 120_000, 200);
    await healers("STOP");
    try {
      const held = new RegExp(
        `host ${host}: heal: deny \\(gluster is not whole: .*brick hv\\d:/bricks/.*: \\d+ entr\\w+ to heal`,
      );
      await until(`${host} is held back`, async () => held.test(await pool.story(run)), 120_000, 500);
      expect(await pool.story(run)).not.toMatch(new RegExp(`host ${others[0]}: .*=> (gate|cordoning)`));
    } finally {
      await healers("CONT");
    }
  }

  test("hosts reboot one after another without a failed write; each is whole before the next one goes, and hands its lead over before it stops", async () => {
    await etcdIsHealthy(pool.lab, pool.hosts);
    const reports: string[] = [];
    for (const [hosts, on] of [
      [["hv1", "hv2"], "hv3"],
      [["hv3"], "hv1"],
    ] as const) {
      // The next one gets the lead from it: in the order of names, and the others are well by then.
      await makeLeader(hosts[0]);
      await writing(on, async () => {
        await pool.lab.sh(on, `systemd-run --unit=lab-leaders --collect /usr/local/bin/lab-leaders ${hosts.join(" ")}`);
        const run = await pool.detach("--hosts", hosts.join(","), "--op", "reboot");
        if (on === "hv3") await heldByHeal(run, "hv1", ["hv2", "hv3"]);
        const report = await pool.ended(run);
        const story = await pool.story(report.run);
        expect(report.outcome, story).toBe("succeeded");
        for (const host of hosts)
          expect(story).toMatch(new RegExp(`service etcd: ${host}: stopped in [^:]+: the lead moved to hv\\d first`));
        reports.push(story);
      });
      for (const host of hosts) handedOver(host, on);
    }
    const [first = ""] = reports;
    const lines = first.split("\n");
    const at = (pattern: RegExp) => {
      const found = lines.findIndex((line) => pattern.test(line));
      expect(found, `${pattern} in\n${first}`).toBeGreaterThan(-1);
      return found;
    };
    expect(at(/host hv1: heal: deny .* to heal/)).toBeLessThan(at(/host hv1: heal: ok/));
    expect(at(/host hv1: heal: ok/)).toBeLessThan(at(/host hv2: .*=> gate/));
  }, 600_000);

  test("a member of etcd that has never started is missed by name, and keeps every host in", async () => {
    await etcdctl("member add late --peer-urls http://hv9:2380");
    try {
      const { status, stdout } = await pool.slipway("check");
      expect(status, stdout).toBe(1);
      const late = await unstarted();
      expect(stdout).toMatch(new RegExp(`${late} +- +down +- +it has never started`));
      const no = new RegExp(`without hv\\d 2 of 3 needed votes are left \\(${late} down\\)`);
      for (const host of pool.hosts)
        expect(stdout.split("\n").find((line) => line.startsWith(`  ${host}  must stay  `))).toMatch(no);
      const run = await pool.detach("--hosts", "hv1", "--op", "reboot");
      await until("the gate's no", async () => no.test((await pool.slipway("why", "hv1")).stdout), 60_000, 500);
      expect(await pool.story(run)).toMatch(/host hv1: gate: (deny|unknown) /);
      await pool.slipway("run", "abort", run);
      expect((await pool.ended(run)).outcome).toBe("aborted");
    } finally {
      await etcdctl(`member remove ${await unstarted()}`);
    }
  }, 240_000);

  test("a brick that is down is not taken for one with nothing to heal", async () => {
    // The bracket keeps the shell that says this from being found.
    await pool.lab.sh("hv3", "pkill -f '[/]bricks/rep3'");
    try {
      const seen = await until("it is seen", async () => (await pool.slipway("check")).status === 1, 60_000, 500).then(
        () => pool.slipway("check"),
      );
      expect(seen.stdout).toMatch(/hv3:\/bricks\/rep3 +hv3 +down +offline; entries to heal: unknown/);
      for (const host of pool.hosts) expect(seen.stdout).toMatch(new RegExp(`^  ${host} +must stay  `, "m"));
    } finally {
      await pool.lab.sh("hv1", "gluster --mode=script volume start rep3 force");
    }
  }, 240_000);

  test("a network that is cut between two hosts, of which the third and Slipway see both, is seen", async () => {
    const route = (verb: string) =>
      pool.lab.sh("hv2", `ip route ${verb} blackhole $(getent hosts hv3 | cut -d ' ' -f 1)/32`);
    await route("add");
    try {
      let seen = "";
      const isSeen = async () => {
        const { status, stdout } = await pool.slipway("check");
        seen = stdout;
        return status === 1 && /rep3 set 1: hv1 sees hv3:\S+ up, hv2 sees hv3:\S+ down/.test(stdout);
      };
      await until("gluster looks different from hv2", isSeen, 120_000, 500);
      // While hv2 finds no leader it cannot say more than whom it misses.
      expect(seen).toMatch(
        /! (seen from hv2: etcd member hv3 .* is not up|members: hv1 sees hv3 up, hv2 sees hv3 down)/,
      );
      for (const host of pool.hosts) {
        expect(seen).toMatch(new RegExp(`^  ${host} +(must stay|not known: stays)  `, "m"));
        await pool.connected(host);
      }
    } finally {
      await route("del");
    }
    await whole();
  }, 300_000);
});
