import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSqliteJournal } from "../../journal/sqlite.ts";
import { FakeController } from "../../testing/controller.ts";
import { examine } from "./doctor.ts";
import { reach } from "./probes.ts";

let dir: string;
let controller: FakeController;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "slipway-doctor-"));
  mkdirSync(join(dir, "hooks"));
  mkdirSync(join(dir, "state"), { mode: 0o700 });
  controller = await FakeController.start();
});
afterEach(() => {
  controller.stop();
  rmSync(dir, { recursive: true, force: true });
});

function properties(change: Record<string, string> = {}): string {
  const file = join(dir, "agent.properties");
  const entries = {
    "rolling.maintenance.hooks.dir": join(dir, "hooks"),
    "slipway.controllers": controller.address,
    "slipway.host": "hv1",
    "slipway.state.dir": join(dir, "state"),
    // Whatever this machine runs, and whoever runs the test.
    "rolling.maintenance.service.executor.disabled": "true",
    ...change,
  };
  writeFileSync(
    file,
    Object.entries(entries)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(""),
  );
  return file;
}

async function enrol(host = "hv1"): Promise<void> {
  const { key, certificate } = await controller.issueFor(host);
  const tls = join(dir, "state", "tls");
  mkdirSync(tls, { recursive: true });
  writeFileSync(join(tls, "ca.pem"), controller.ca);
  writeFileSync(join(tls, "agent.pem"), certificate);
  writeFileSync(join(tls, "agent.key"), key, { mode: 0o600 });
}

async function bad(file: string): Promise<string[]> {
  const { text, isGood } = await examine(file);
  const lines = text.split("\n").filter((line) => line.startsWith("bad"));
  expect(isGood).toBe(lines.length === 0);
  return lines.map((line) => line.replace(/^bad +/, "").replace(/ {2,}/, ": "));
}

describe("slipway-agent doctor", () => {
  it("finds nothing wrong with a host that is well, while its agent runs", async () => {
    await enrol();
    writeFileSync(join(dir, "hooks", "Maintenance"), "#!/bin/sh\n", { mode: 0o755 });
    const journal = openSqliteJournal(join(dir, "state", "journal.db"));
    const { text, isGood } = await examine(properties());
    journal.close();
    expect(text).not.toMatch(/^bad/m);
    expect(isGood).toBe(true);
    expect(text).toMatch(/^ok {4}journal .*in use by the agent that runs$/m);
    expect(text).toMatch(/^ok {4}controller +127\.0\.0\.1:\d+: TLSv1\.3$/m);
    expect(text).toMatch(/^ok {4}hook Maintenance +\/.*\/hooks\/Maintenance$/m);
  });

  it("says all that is wrong at once, each with the way out", async () => {
    await enrol("hv2");
    writeFileSync(join(dir, "hooks", "PreFlight"), "#!/bin/sh\n", { mode: 0o644 });
    chmodSync(join(dir, "state"), 0o755);
    chmodSync(join(dir, "state", "tls", "agent.key"), 0o644);
    writeFileSync(join(dir, "state", "journal.db"), "this is no database, it is a text of some length");
    controller.stop();
    const lines = await bad(properties());
    expect(lines).toEqual([
      expect.stringMatching(/^hook PreFlight: .*is not executable \(mode 0644\); run chmod \+x/),
      expect.stringMatching(/^state: .*open to group or others \(mode 0755\); run chmod go= /),
      expect.stringMatching(/^journal: .*journal\.db: /),
      expect.stringMatching(/^key: .*open to group or others \(mode 0644\)/),
      expect.stringMatching(/^certificate: .*is for host hv2, but slipway\.host is hv1; set slipway\.host=hv2/),
      expect.stringMatching(/^controller: .*nothing listens there; start the controller/),
    ]);
  });

  it("knows a host that is not enrolled from one that is about to be", async () => {
    expect(await bad(properties())).toEqual([expect.stringMatching(/^certificate: .*this host is not enrolled; set /)]);
    writeFileSync(join(dir, "token"), "t", { mode: 0o600 });
    const token = { "slipway.enrol": controller.enrolment, "slipway.token.file": join(dir, "token") };
    const { text, isGood } = await examine(properties(token));
    expect(isGood).toBe(true);
    expect(text).toMatch(/^note {2}certificate .*not there yet; the agent's start enrols this host$/m);
    expect(text).toMatch(/^ok {4}enrolment /m);
  });

  it("says what is wrong with the properties themselves", async () => {
    expect(await bad(properties({ "slipway.labls": "a=b" }))).toEqual([
      expect.stringMatching(/^properties: .*unknown key slipway\.labls; did you mean slipway\.labels\?$/),
    ]);
  });

  it("tells another authority's controller from its own", async () => {
    await enrol();
    const other = await FakeController.start();
    const lines = await bad(properties({ "slipway.controllers": other.address }));
    other.stop();
    expect(lines).toEqual([expect.stringMatching(/^controller: .*belongs to another authority; correct the address/)]);
  });
});

describe("reaching a controller", () => {
  let server: Server;
  afterEach(() => server.close());
  it("has a deadline where somebody listens who never speaks", async () => {
    server = createServer((socket) => socket.on("error", () => {}));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await reach(address, undefined, 100)).toEqual({ state: "timeout", stage: "TLS", deadlineMs: 100 });
  });
});
