import type { MoveOptions } from "@slipway/shared";
import { beforeEach, describe, expect, test } from "vitest";
import type { InstanceSpec } from "../../steps/types.ts";
import { type JobHandle, JobStopped } from "../jobs.ts";
import { Departures } from "./departures.ts";
import { checkOptions, type Known, type MoveNote, move, resumedMove } from "./move.ts";
import { FakeVirsh, fixture, type Script } from "./testing.ts";

const U = "aaaaaaaa-0000-4000-8000-000000000001";
const options: MoveOptions = {
  ...{ to: "hv2", uri: "qemu+tls://hv2/system", address: "", storage: "", bandwidthMib: 0, downtimeMs: 0 },
  ...{ autoConverge: false, postCopy: false, stuckMs: 0, disks: [] },
};
const spec: InstanceSpec = {
  ...{ kind: "instance", verb: "move", uuid: U, name: "vm1", generation: 1, timeoutMs: 1_000 },
  move: options,
};
const none = { "list --all --uuid": "", "list --all --uuid --autostart": "", "list --all --uuid --persistent": "" };
const empty: Script = { ...none, "list --all --uuid --with-managed-save": "" };
function holds(state: number, reason: number, more: Script = {}): Script {
  return {
    ...empty,
    "list --all --uuid": `${U}\n`,
    "list --all --uuid --persistent": `${U}\n`,
    [`domstats --state --raw --nowait ${U}`]: `  state.state=${state}\n  state.reason=${reason}\n`,
    [`domjobinfo --rawstats ${U}`]: "Job type: 0\n",
    ...more,
  };
}
const running = holds(1, 1);
const down: Script = { "list --all --uuid": { state: "timed-out", text: "no answer" } };

let here: FakeVirsh;
let there: FakeVirsh;
let notes: Map<string, MoveNote>;
let controller: AbortController;
let migrateArgs: string;
/** What both sides are once virsh migrate has ended, and what that said. */
let after: { here: Script; there: Script; says?: string };

beforeEach(() => {
  here = new FakeVirsh(running);
  there = new FakeVirsh(empty);
  notes = new Map();
  controller = new AbortController();
  migrateArgs = "";
  const run = here.run.bind(here);
  here.run = async (args, more) => {
    if (args[0] !== "migrate") return run(args, more);
    migrateArgs = args.join(" ");
    here.script = after.here;
    there.script = after.there;
    const text = after.says ?? "";
    return { state: text === "" ? "ok" : "failed", stdout: "", text };
  };
});
const host = () => ({
  virsh: here,
  pollMs: 1,
  at: () => there,
  notes: {
    write: (uuid: string, note: MoveNote) => void notes.set(uuid, note),
    read: (uuid: string) => notes.get(uuid),
    remove: (uuid: string) => void notes.delete(uuid),
  },
});
const job = (): JobHandle => ({ id: "x", signal: controller.signal, progress: () => {} });
const go = (change: Partial<MoveOptions> = {}) => move(host(), { ...spec, move: { ...options, ...change } }, job());

describe("a move", () => {
  test("is done when the target runs it and it is gone here, whatever virsh said", async () => {
    after = { here: empty, there: running, says: "Disconnected" };
    expect(await go()).toMatchObject({ reason: "", verdict: "ok", instance: { present: false } });
    expect(migrateArgs).toBe(
      `migrate --domain ${U} --desturi qemu+tls://hv2/system --p2p --live --abort-on-error --persistent --undefinesource`,
    );
    expect(notes.size).toBe(0);
  });

  test("takes the options it is given", async () => {
    after = { here: empty, there: running };
    here.script = { ...running, [`migrate-setmaxdowntime ${U} 250`]: "" };
    const copy = { storage: "all", disks: ["vda", "vdb"], bandwidthMib: 100, autoConverge: true, postCopy: true };
    await go({ ...copy, address: "tcp://10.1.0.2", downtimeMs: 250 });
    expect(migrateArgs).toMatch(
      /--migrateuri tcp:\/\/10\.1\.0\.2 --copy-storage-all --migrate-disks vda,vdb --bandwidth 100 --auto-converge --postcopy --postcopy-after-precopy$/,
    );
    expect(here.calls).toContain(`migrate-setmaxdowntime ${U} 250`);
  });

  test("carries autostart along, and says so when it could not", async () => {
    here.script = { ...running, "list --all --uuid --autostart": `${U}\n` };
    after = { here: empty, there: { ...running, [`autostart ${U}`]: "" } };
    expect(await go()).toMatchObject({ verdict: "ok", reason: "" });
    expect(there.calls).toContain(`autostart ${U}`);
    here.script = { ...running, "list --all --uuid --autostart": `${U}\n` };
    after = { here: empty, there: running };
    expect((await go()).reason).toMatch(/^autostart is not set on hv2/);
  });

  test("of a transient guest leaves it one, and of one that is off moves its definition", async () => {
    here.script = { ...running, "list --all --uuid --persistent": "" };
    after = { here: empty, there: running };
    await go();
    expect(migrateArgs).not.toMatch(/--persistent|--undefinesource/);
    here.script = holds(5, 1);
    after = { here: empty, there: holds(5, 0) };
    expect(await go()).toMatchObject({ verdict: "ok" });
    expect(migrateArgs).toMatch(/ --offline --persistent --undefinesource$/);
  });

  test("has failed when it is still here, and says why", async () => {
    after = { here: running, there: empty, says: "unable to connect to hv2" };
    expect(await go()).toMatchObject({
      verdict: "failed",
      reason: "unable to connect to hv2; it is still here, running (booted)",
      instance: { present: true, state: "running" },
    });
    after = { here: holds(5, 1), there: empty, says: "domain is not running" };
    here.script = running;
    expect(await go()).toMatchObject({ verdict: "failed", instance: { state: "shutoff" } });
  });

  test("is unknown, not failed, when nobody can tell where it is", async () => {
    for (const [one, other, reason] of [
      [empty, down, /not there, and hv2 cannot be asked/],
      [empty, empty, /neither here nor on hv2/],
      [running, running, /running \(booted\) here and running \(booted\) on hv2/],
      [holds(3, 13), holds(3, 13), /on hv2/],
    ] as const) {
      here.script = running;
      there.script = empty;
      after = { here: one, there: other, says: "connection reset" };
      const outcome = await go();
      expect(outcome).toMatchObject({ verdict: "interrupted" });
      expect(outcome.reason).toMatch(reason);
    }
  });

  test("that was stopped ends as the stop says when it stayed, and well when it was through all the same", async () => {
    controller.abort(new JobStopped("cancelled", "run aborted"));
    after = { here: running, there: empty, says: "canceled by client" };
    expect(await go()).toMatchObject({
      verdict: "cancelled",
      reason: expect.stringMatching(/^run aborted; it is still/),
    });
    here.script = running;
    after = { here: empty, there: running };
    expect(await go()).toMatchObject({ verdict: "ok" });
  });

  test("does not begin with what is not here, moves already or is saved", async () => {
    here.script = empty;
    await expect(go()).rejects.toThrow(/not here/);
    here.script = holds(1, 1, { [`domjobinfo --rawstats ${U}`]: "Job type: 2\noperation: 5\n" });
    await expect(go()).rejects.toThrow(/migrating-out already/);
    here.script = holds(5, 5, { "list --all --uuid --with-managed-save": `${U}\n` });
    await expect(go()).rejects.toThrow(/saved on this host/);
    expect(migrateArgs).toBe("");
  });
});

describe("a move of which events tell", () => {
  const known: Known = { present: true, isActive: true, job: "", autostart: false, persistent: true, saved: false };
  const withEvents = (events: string, said: Partial<Known> = {}) => {
    const departures = new Departures();
    const run = here.run.bind(here);
    here.run = async (args, more) => {
      if (args[0] === "migrate") departures.hear(events);
      return run(args, more);
    };
    return move({ ...host(), departures, known: () => ({ ...known, ...said }) }, spec, job());
  };
  const events = fixture("events-migrated-out.txt");

  test("asks nobody when virsh has ended well and the source has told that it let go", async () => {
    after = { here: down, there: down };
    expect(await withEvents(events)).toMatchObject({
      verdict: "ok",
      instance: { present: false, problem: "", bytes: 77_572_909n, downtimeMs: 404 },
    });
    expect([here.calls, there.calls]).toEqual([[], []]);
    expect(notes.size).toBe(0);
  });

  test("asks both sides when virsh did not end well, or the source has not told", async () => {
    after = { here: running, there: running, says: "connection reset" };
    expect((await withEvents(events)).verdict).toBe("interrupted");
    here.script = running;
    after = { here: empty, there: running };
    expect((await withEvents(events.replace("Stopped Migrated", "Stopped Failed"))).verdict).toBe("ok");
    expect(there.calls).not.toEqual([]);
    here.script = running;
    after = { here: holds(3, 1), there: running };
    expect((await withEvents("")).reason).toMatch(/paused .* here and running .* on hv2/);
  });

  test("carries autostart along all the same", async () => {
    after = { here: down, there: { [`autostart ${U}`]: "" } };
    expect(await withEvents(events, { autostart: true })).toMatchObject({ verdict: "ok", reason: "" });
    expect(there.calls).toEqual([`autostart ${U}`]);
  });
});

describe("a move that an earlier process began", () => {
  test("is told by what is", async () => {
    here.script = empty;
    there.script = { ...running, [`autostart ${U}`]: "" };
    notes.set(U, { autostart: true });
    expect(await resumedMove(host(), spec, job())).toMatchObject({ verdict: "ok", reason: "" });
    expect(there.calls).toContain(`autostart ${U}`);
    here.script = running;
    there.script = empty;
    expect(await resumedMove(host(), spec, job())).toMatchObject({ verdict: "interrupted" });
    expect(migrateArgs).toBe("");
  });
  test("is waited for while it goes on", async () => {
    const going = holds(1, 1, { [`domjobinfo --rawstats ${U}`]: "Job type: 2\noperation: 5\ndata_processed: 1\n" });
    here.script = going;
    const run = here.run.bind(here);
    let asked = 0;
    here.run = async (args, more) => {
      const answer = await run(args, more);
      if (args[0] === "domjobinfo" && ++asked === 3) {
        here.script = empty;
        there.script = running;
      }
      return answer;
    };
    expect((await resumedMove(host(), spec, job())).verdict).toBe("ok");
  });
});

test("what comes over the wire runs nothing but a migration", () => {
  const bad = (change: Partial<MoveOptions>) =>
    expect(() => checkOptions({ ...options, ...change })).toThrow(/it looks|say|name it/);
  expect(() => checkOptions(options)).not.toThrow();
  expect(() => checkOptions({ ...options, uri: "qemu+tls://[fd00::2]:16514/system" })).not.toThrow();
  for (const uri of [
    "",
    "-c",
    "qemu+ext:///system?command=/bin/x",
    "qemu+ssh://h/system",
    "qemu+tls://h/system?command=x",
  ])
    bad({ uri });
  for (const address of ["unix:///x", "exec:rm", "tcp://h -f"]) bad({ address });
  bad({ storage: "some" });
  bad({ disks: ["vda,vdb"] });
});
