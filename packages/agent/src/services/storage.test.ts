import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Answer } from "../probes/answer.ts";
import { recorded } from "../probes/testing/recording.ts";
import { etcdService } from "./etcd.ts";
import { glusterService } from "./gluster.ts";
import { glusterMountsService } from "./gluster-mounts.ts";
import { Bench, ended } from "./testing/bench.ts";

let bench: Bench;
beforeEach(() => {
  vi.useFakeTimers();
  bench = new Bench();
});
afterEach(() => {
  bench.close();
  vi.useRealTimers();
});

describe("GlusterFS mounts", () => {
  const service = () => glusterMountsService(bench.proc, bench.memory);
  let mounted: string[];
  const now = (targets: string[]) => {
    mounted = targets;
    bench.mounts(targets);
  };
  beforeEach(() => {
    now(["/srv/vms", "/srv/my isos"]);
    bench.answer = (asked) => {
      const umount = /^umount -- (.*)$/.exec(asked)?.[1];
      const mount = /^mount .* (\/\S.*)$/.exec(asked)?.[1];
      if (umount !== undefined) now(mounted.filter((t) => t !== umount));
      if (mount !== undefined) now([...mounted, mount]);
      return asked.startsWith("findmnt") ? ended("", 1) : ended();
    };
  });
  it("are unmounted, last first, and mounted again", async () => {
    expect((await bench.step(service(), "service-stop")).verdict).toBe("ok");
    expect(bench.asked).toEqual(["umount -- /srv/my isos", "umount -- /srv/vms"]);
    expect((await bench.step(service(), "service-check")).reason).toBe("/srv/vms, /srv/my isos is not mounted");
    expect((await bench.step(service(), "service-start")).verdict).toBe("ok");
    expect(mounted).toEqual(["/srv/vms", "/srv/my isos"]);
    expect(bench.asked).toContain("mount -t glusterfs -- n1:gv0 /srv/vms");
  });
  it("that are busy stay, all of them, and name who holds them", async () => {
    bench.process(4242, ["/usr/bin/qemu-system-x86_64", "-name", "vm1"], "/srv/vms/images");
    bench.process(77, ["/bin/sh"], "/srv/vms2");
    const result = await bench.step(service(), "service-stop");
    expect(result.reason).toBe("/srv/vms is in use by qemu-system-x86_64 (4242); stop them, then go on");
    expect(bench.asked).toEqual([]);
  });
  it("are read anew, whatever umount says, and never unmounted lazily", async () => {
    bench.answer = () => ended("", 0);
    expect((await bench.step(service(), "service-stop")).reason).toMatch(/^\/srv\/my isos cannot be unmounted/);
    expect(bench.asked.join()).not.toMatch(/ -l| -f/);
  });
  it("that were there only before an attempt that broke off come back as well", async () => {
    await bench.step(service(), "service-stop", {});
    now(["/srv/vms"]);
    await bench.step(service(), "service-stop", {});
    await bench.step(service(), "service-start", {});
    expect(mounted.toSorted()).toEqual(["/srv/my isos", "/srv/vms"]);
  });
});

describe("GlusterFS", () => {
  const killed: string[] = [];
  const service = () =>
    glusterService({
      proc: bench.proc,
      kill: (pid, signal) => {
        killed.push(`${signal} ${pid}`);
        if (signal === "SIGKILL" || pid !== 13) bench.exit(pid);
      },
      now: () => performance.now(),
    });
  let answers: ReadonlyMap<string, Answer>;
  beforeEach(() => {
    killed.length = 0;
    answers = recorded("gluster", "healthy");
    bench.units.set("glusterd.service", "active");
    bench.process(10, ["/usr/sbin/glusterd", "-p", "/run/glusterd.pid"]);
    bench.process(11, ["/usr/sbin/glusterfsd", "-s", "n1", "--volfile-id", "gv0.n1.bricks-a"]);
    bench.process(12, ["/usr/sbin/glusterfs", "-s", "localhost", "--volfile-id", "shd/gv0"]);
    bench.process(99, ["/usr/sbin/glusterfsd", "-s", "other"], "/", 2);
    bench.answer = (asked) => (asked.startsWith("gluster ") ? (answers.get(asked) ?? ended("?", 1)) : undefined);
  });
  it("ends bricks and helpers before glusterd, and nothing of a container's", async () => {
    expect((await bench.step(service(), "service-stop")).verdict).toBe("ok");
    expect(killed).toEqual(["SIGTERM 11", "SIGTERM 12"]);
    const asks = bench.asked.findLastIndex((asked) => asked.startsWith("gluster "));
    expect(asks).toBeLessThan(bench.asked.indexOf("systemctl stop -- glusterd.service"));
  });
  it("kills what does not end", async () => {
    bench.process(13, ["/usr/sbin/glusterfsd", "-s", "n1"]);
    expect((await bench.step(service(), "service-stop")).verdict).toBe("ok");
    expect(killed.at(-1)).toBe("SIGKILL 13");
  });
  it.each([
    ["entries are to be healed", "healing", /^gluster heals \(65\): volume gv0 set 1: n1:\/bricks\/a: 7 entries/],
    [
      "another brick of a set is gone",
      "peer-down",
      /without n1:\/bricks\/a 1 of 2 needed votes are left \(n3:\/bricks\/a not up\)/,
    ],
    ["glusterd does not answer", "down", /Connection failed/],
  ])("stays while %s", async (_name, situation, reason) => {
    answers = recorded("gluster", situation);
    const result = await bench.step(service(), "service-stop");
    expect(result.verdict).toBe("failed");
    expect(result.reason).toMatch(reason);
    expect(killed).toEqual([]);
    expect(bench.units.get("glusterd.service")).toBe("active");
  });
  it("stays during a rebalance (64)", async () => {
    answers = new Map([...recorded("gluster", "all-types"), ...recorded("gluster", "rebalancing")]);
    expect((await bench.step(service(), "service-stop")).reason).toBe(
      "gluster is busy (64): gv3: rebalance in progress",
    );
  });
  it("stays while a volume is mounted, and when glusterd is down already: nobody could say whether bricks may go", async () => {
    bench.mounts(["/srv/vms"]);
    expect((await bench.step(service(), "service-stop")).reason).toMatch(/^\/srv\/vms is still mounted/);
    bench.mounts([]);
    bench.units.set("glusterd.service", "inactive");
    expect((await bench.step(service(), "service-stop")).reason).toMatch(/^bricks run and glusterd.service does not/);
    expect(killed).toEqual([]);
  });
  it("is back when its own bricks are, whoever else is missing", async () => {
    answers = recorded("gluster", "peer-down");
    expect((await bench.step(service(), "service-start")).verdict).toBe("ok");
    answers = recorded("gluster", "server-quorum-lost");
    expect((await bench.step(service(), "service-start", { timeoutMs: 3_000 })).reason).toBe(
      "gluster: n1:/bricks/a is not online yet; the time is up",
    );
  });
});

describe("etcd", () => {
  const settings = { endpoint: "http://10.9.0.1:2379" };
  let situation: string;
  let leader: string | undefined;
  const n2 = "7267708575734177612";
  beforeEach(() => {
    situation = "healthy";
    leader = undefined;
    bench.units.set("etcd.service", "active");
    bench.answer = (asked) => {
      if (!/^(?:GET|POST) /.test(asked)) return undefined;
      if (asked.includes("transfer-leadership")) {
        leader = /"targetID":"(\d+)"/.exec(asked)?.[1];
        return ended("{}", 200);
      }
      const found = recorded("etcd", situation).get(asked);
      return (
        found && { ...found, stdout: found.stdout.replace(/"leader":"\d+"/, leader ? `"leader":"${leader}"` : "$&") }
      );
    };
  });
  const moves = () => bench.asked.filter((asked) => asked.includes("transfer-leadership"));
  it("hands the lead over, with the whole of the id, before it stops", async () => {
    expect(await bench.step(etcdService, "service-stop", { settings })).toMatchObject({
      verdict: "ok",
      reason: "the lead moved to n2 first",
    });
    expect(moves()).toEqual([`POST http://10.9.0.1:2379/v3/maintenance/transfer-leadership {"targetID":"${n2}"}`]);
    expect(bench.asked.indexOf(moves()[0] ?? "")).toBeLessThan(bench.asked.indexOf("systemctl stop -- etcd.service"));
  });
  it("has nothing to hand over when another one leads", async () => {
    leader = n2;
    expect((await bench.step(etcdService, "service-stop", { settings })).verdict).toBe("ok");
    expect(moves()).toEqual([]);
  });
  it("does not stop while it still leads", async () => {
    const answer = bench.answer;
    bench.answer = (asked) => (asked.includes("transfer-leadership") ? ended("{}", 200) : answer(asked));
    const result = await bench.step(etcdService, "service-stop", { settings });
    expect(result.reason).toMatch(/^etcd: the lead cannot be moved off this host \(to n2: it is still here; to n3/);
    expect(bench.units.get("etcd.service")).toBe("active");
  });
  it.each([
    ["degraded", "etcd would lose its quorum: without n1 1 of 2 needed members are left (n3 not up)"],
    ["no-quorum", /^etcd cannot be read/],
    ["down", /etcd member list/],
  ])("stays when it is %s", async (now, reason) => {
    situation = now;
    const result = await bench.step(etcdService, "service-stop", { settings });
    expect(result.verdict).toBe("failed");
    expect(result.reason).toMatch(reason);
    expect(bench.units.get("etcd.service")).toBe("active");
    expect(moves()).toEqual([]);
  });
  it("is back once it is a healthy member, though another one is missing", async () => {
    situation = "degraded";
    expect((await bench.step(etcdService, "service-start", { settings })).verdict).toBe("ok");
    situation = "no-quorum";
    expect((await bench.step(etcdService, "service-start", { settings, timeoutMs: 3_000 })).reason).toMatch(
      /etcd member n1 is down \(it sees no leader\); the time is up/,
    );
  });
});
