import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { Pool, until } from "./kit.ts";

let pool: Pool | undefined;
const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  await pool?.stop();
});

/** Something that answers, on this port or any. */
function listen(port = 0): Promise<{ port: number; close: () => Promise<void> }> {
  const server = createServer((socket) => socket.destroy());
  servers.push(server);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const { port: bound } = server.address() as { port: number };
      resolve({ port: bound, close: () => new Promise((done) => server.close(() => done())) });
    });
  });
}

/** Three members, one on each host; the one on hv3 is well for as long as it answers. */
async function start(): Promise<{ p: Pool; port: number; die: () => Promise<void> }> {
  pool = await Pool.start(3);
  const p = pool;
  const member = await listen();
  const file = join(p.dir, "quorum.yaml");
  const check = { system: "tcp", settings: { address: `127.0.0.1:${member.port}` } };
  const members = [{ host: "hv1" }, { host: "hv2" }, { host: "hv3", check }];
  writeFileSync(file, JSON.stringify({ quorum: [{ name: "dns", members }] }));
  expect((await p.slipway("pool", "apply", file)).stderr).toBe("");
  return { p, port: member.port, die: member.close };
}

interface Page {
  healthy: boolean;
  systems: { name: string; state: string; sets: { up: number; needed: number; margin: number }[] }[];
  hosts: { host: string; verdict: string; reasons: { text: string }[] }[];
  safeSet: string[];
}
const check = async (p: Pool, ...args: string[]) => {
  const { status, stdout } = await p.slipway("--json", "check", ...args);
  return { status, page: JSON.parse(stdout) as Page };
};

const ended = (p: Pool, run: string) =>
  until("its end", async () => /^(succeeded|failed|aborted|nothing-done)$/.test((await p.report(run)).outcome));

test("the health page tells who could go, before and after a member has died", async () => {
  const { p, die } = await start();
  const well = await check(p);
  expect(well.status).toBe(0);
  expect(well.page).toMatchObject({
    healthy: true,
    systems: [{ name: "group dns", state: "healthy", sets: [{ up: 3, needed: 2, margin: 1 }] }],
    hosts: [{ verdict: "tight" }, { verdict: "tight" }, { verdict: "tight" }],
  });
  expect(well.page.safeSet).toHaveLength(1);
  await die();
  const ill = await check(p, "--system", "dns");
  expect(ill.status).toBe(1);
  expect(ill.page).toMatchObject({
    healthy: false,
    systems: [{ state: "degraded", sets: [{ up: 2, margin: 0 }] }],
    hosts: [
      { host: "hv1", verdict: "deny" },
      { host: "hv2", verdict: "deny" },
      { host: "hv3", verdict: "tight" },
    ],
  });
  const text = await p.slipway("check");
  expect(text.stdout).toMatch(/hv1 +must stay +group dns: without hv1 1 of 2 needed votes are left \(hv3 down\)/);
  expect((await p.slipway("why", "hv1")).stdout).toMatch(/could not go down now: group dns: without hv1/);
  p.hook("Maintenance", "true");
  const plan = await p.slipway("plan", "--hosts", "hv1,hv3");
  expect([plan.status, plan.stdout]).toEqual([
    0,
    expect.stringMatching(/hv1 could not go now \(may be fine by its turn\)/),
  ]);
  expect((await p.slipway("check", "--system", "dnss")).stderr).toMatch(/did you mean dns\?/);
});

test("a run waits while a member is down, and goes on when it answers again", async () => {
  const { p, port, die } = await start();
  p.countingHook("Maintenance", "true");
  await die();
  const run = await p.detach("--hosts", "hv1", "--ping-interval", "1s");
  await until("the gate's no", async () => /gate: deny/.test((await p.slipway("report", run, "--log")).stdout));
  expect((await p.slipway("why", "hv1")).stdout).toMatch(/without hv1 1 of 2 needed votes are left \(hv3 down\)/);
  expect(p.counts(run)).toEqual({});
  await listen(port);
  await ended(p, run);
  expect((await p.report(run)).outcome).toBe("succeeded");
  expect(p.counts(run)).toEqual({ "hv1.Maintenance.1": ["run", "end"] });
});

test("a member that nobody can tell of holds a run up; another pool file lets it go on at once", async () => {
  const { p } = await start();
  p.countingHook("Maintenance", "true");
  expect(p.kill("hv2", "SIGSTOP")).toBe(true);
  try {
    await until("its silence", async () => (await check(p)).page.systems[0]?.state === "unknown");
    // Longer than the test may take: only the new pool file can have the gate asked again.
    const run = await p.detach("--hosts", "hv1", "--ping-interval", "15m", "--timeout", "1h");
    await until("the gate's no", async () =>
      /gate: (deny|unknown)/.test((await p.slipway("report", run, "--log")).stdout),
    );
    const empty = join(p.dir, "empty.yaml");
    writeFileSync(empty, "{}\n");
    expect((await p.slipway("pool", "apply", empty)).status).toBe(0);
    await ended(p, run);
    expect((await p.report(run)).outcome).toBe("succeeded");
  } finally {
    p.kill("hv2", "SIGCONT");
  }
});

test("a host that the site's own probe refuses goes once an operator answers for it, by name and with a reason", async () => {
  pool = await Pool.start(2);
  const p = pool;
  p.countingHook("Maintenance", "true");
  const no = "disk 3 of $SLIPWAY_HOST is rebuilding";
  p.probe(
    "hv2",
    "arrays",
    `echo "{\\"goingVerdict\\":\\"deny\\",\\"goingReasons\\":[\\"${no} while $SLIPWAY_GOING goes\\"]}"`,
  );
  const file = join(p.dir, "probes.yaml");
  const probes = [{ name: "arrays", system: "command", from: ["hv2"], settings: { name: "arrays" } }];
  writeFileSync(file, JSON.stringify({ probes }));
  expect((await p.slipway("pool", "apply", file)).stderr).toBe("");
  const run = await p.detach("--hosts", "hv1", "--ping-interval", "1s");
  const log = async () => (await p.slipway("report", run, "--log")).stdout;
  await until("the gate's no", async () => /gate: deny/.test(await log()));
  expect((await p.slipway("why", "hv1")).stdout).toMatch(/disk 3 of hv2 is rebuilding while hv1 goes/);

  const override = (...args: string[]) => p.slipway("run", "override", run, ...args);
  expect(await override("hv1")).toMatchObject({ status: 2, stderr: expect.stringMatching(/--reason/) });
  expect(await override("hv1", "--reason", " ")).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/no reason/),
  });
  expect(await override("hv2", "--reason", "why not")).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/host "hv2": not in run/),
  });
  expect(p.counts(run)).toEqual({});
  expect(await override("hv1", "--reason", "disk 3 is a spare")).toMatchObject({ status: 0, stderr: "" });
  // An answer is for one question: the gate asks again once the host is empty.
  await until("the second no", async () => /recheck: deny/.test(await log()));
  expect(p.counts(run)).toEqual({});
  expect((await override("hv1", "--reason", "still a spare")).status).toBe(0);
  await ended(p, run);
  expect((await p.report(run)).outcome).toBe("succeeded");
  expect(p.counts(run)).toEqual({ "hv1.Maintenance.1": ["run", "end"] });

  const note =
    /gate of hv1 overridden by (\S+): disk 3 is a spare \(it said: .*disk 3 of hv2 is rebuilding while hv1 goes\)/;
  const [, who = ""] = note.exec((await p.report(run)).hosts[0]?.notes.map((n) => n.text).join("\n") ?? "") ?? [];
  expect((await p.slipway("report", run)).stdout).toMatch(note);
  const { entries } = JSON.parse((await p.slipway("--json", "audit")).stdout) as { entries: Record<string, string>[] };
  expect(entries.filter((e) => e["what"]?.includes("override") && e["result"] === "ok")).toMatchObject([
    { who, what: expect.stringMatching(/hv1.*still a spare/) },
    { who, what: expect.stringMatching(/hv1.*disk 3 is a spare/) },
  ]);
  // It was for one time: the next run is refused as before.
  const next = await p.detach("--hosts", "hv1", "--ping-interval", "1s");
  await until("the gate's no", async () => /gate: deny/.test((await p.slipway("report", next, "--log")).stdout));
});

test("discovery prints what pool check accepts, and tells nothing of what is not there", async () => {
  pool = await Pool.start(2);
  const found = await pool.slipway("pool", "discover");
  expect([found.status, found.stderr]).toEqual([0, ""]);
  expect(found.stdout).toMatch(/^# asked hv1, hv2; nothing of this is used/);
  expect(found.stdout).not.toMatch(/not installed/);
  const file = join(pool.dir, "found.yaml");
  writeFileSync(file, found.stdout);
  expect((await pool.slipway("pool", "check", file)).status).toBe(0);
});
