import { describe, expect, it } from "vitest";
import {
  checkBootId,
  checkCertificate,
  checkClock,
  checkDisk,
  checkExecutor,
  checkHooks,
  checkJournal,
  checkPrivate,
  checkReach,
  type ExecutorFacts,
  type Reach,
  render,
} from "./checks.ts";

const MIB = 1024 ** 2;
const DAY = 86_400_000;

describe("hooks", () => {
  it("are named one by one, with what stands against them", () => {
    const hook = (stage: "PreFlight" | "Maintenance", problem: string) => ({
      stage,
      file: `/h/${stage}`,
      sha256: "",
      problem,
    });
    expect(
      checkHooks({ dir: "/h", problem: "", hooks: [hook("PreFlight", ""), hook("Maintenance", "is empty")] }),
    ).toEqual([
      { state: "ok", check: "hook PreFlight", text: "/h/PreFlight" },
      { state: "ok", check: "hook PreMaintenance", text: "none: the stage is passed over" },
      { state: "bad", check: "hook Maintenance", text: "is empty" },
      { state: "ok", check: "hook PostMaintenance", text: "none: the stage is passed over" },
    ]);
    expect(checkHooks({ dir: "/h", problem: "/h: does not exist", hooks: [] })).toMatchObject([{ state: "bad" }]);
    expect(checkHooks({ dir: "/h", problem: "", hooks: [] })[2]).toMatchObject({ state: "note" });
  });
});

describe("what only the agent may see", () => {
  it.each([
    [{ uid: 0, mode: 0o100600 }, "ok", "/k"],
    [{ uid: 0, mode: 0o100640 }, "bad", "/k: open to group or others (mode 0640); run chmod go= /k"],
    [{ uid: 7, mode: 0o100600 }, "bad", "/k: belongs to uid 7; run chown 0 /k"],
    [{ uid: -1, mode: 0, missing: "ENOENT" }, "bad", "/k: does not exist; start the agent once, it makes it"],
    [{ uid: -1, mode: 0, missing: "EACCES" }, "bad", "/k: cannot be read (EACCES); run this as root"],
  ])("%j: %s", (facts, state, text) => {
    expect(checkPrivate("key", { path: "/k", ...facts }, 0)).toEqual({ state, check: "key", text });
  });
});

describe("the disk", () => {
  it.each([
    [10_000 * MIB, 0xef53, "ok", "/s: 10000 MiB free"],
    [300 * MIB, 0xef53, "note", "/s: 300 MiB free, which is little"],
    [63 * MIB, 0xef53, "bad", "/s: 63 MiB free; make room, no step is taken without it"],
    [10_000 * MIB, 0x6969, "bad", "/s: is on NFS; put slipway.state.dir on a local disk"],
  ])("%d bytes on %d: %s", (free, type, state, text) => {
    expect(checkDisk("/s", free, type)).toEqual({ state, check: "disk", text });
  });
});

describe("the certificate and the clock", () => {
  it("are judged together", () => {
    expect(checkCertificate("/c", 90 * DAY, 0)).toMatchObject({ state: "ok", text: "/c: good for 90 days" });
    expect(checkCertificate("/c", DAY, 0)).toMatchObject({
      state: "note",
      text: "/c: good for 24h 0m; enrol this host anew before that",
    });
    expect(checkClock(new Map([["NTPSynchronized", "yes"]]), 0)).toEqual({
      state: "ok",
      check: "clock",
      text: "1970-01-01T00:00:00.000Z, synchronised",
    });
    expect(checkClock(new Map([["NTPSynchronized", "no"]]), 0).text).toMatch(
      /not synchronised: .*; run timedatectl set-ntp true/,
    );
    expect(checkClock(undefined, 0)).toMatchObject({ state: "note" });
  });
});

describe("the executor", () => {
  const facts: ExecutorFacts = {
    choice: { executor: "systemd", reason: "systemd runs here" },
    isSystemdThere: true,
    systemdVersion: "252.39-1~deb12u1",
    uid: 0,
    awkwardPath: undefined,
  };
  it.each<[Partial<ExecutorFacts>, string, string | RegExp]>([
    [{}, "ok", "systemd 252"],
    [{ systemdVersion: "" }, "bad", /^systemd: does not answer; /],
    [{ systemdVersion: "239 (239-82.el8)" }, "bad", /^systemd 239: too old, 240 is the oldest that will do; /],
    [{ uid: 1000 }, "bad", /^uid 1000 may not make systemd units; run the agent as root, or set /],
    [{ awkwardPath: "/srv/a b" }, "bad", /^\/srv\/a b: cannot be named in a systemd unit; /],
    [
      { choice: { executor: "direct", reason: "systemd does not run here" }, isSystemdThere: false },
      "ok",
      "direct (systemd does not run here)",
    ],
    [
      { choice: { executor: "direct", reason: "it is disabled" } },
      "note",
      /^direct \(it is disabled\): hooks have no units/,
    ],
  ])("%j: %s", (change, state, text) => {
    const found = checkExecutor({ ...facts, ...change });
    expect(found.state).toBe(state);
    expect(found.text).toMatch(typeof text === "string" ? new RegExp(`^${text.replace(/[()]/g, "\\$&")}$`) : text);
  });
});

describe("journal and boot id", () => {
  it("tell a running agent from a broken file", () => {
    expect(["absent", "open", "in-use"].map((one) => checkJournal("/j", one as "open").state)).toEqual([
      "note",
      "ok",
      "ok",
    ]);
    expect(checkJournal("/j", { problem: "/j: not a database" })).toMatchObject({
      state: "bad",
      text: "/j: not a database",
    });
    expect([checkBootId("59cf2275-93d5-4dc8-b4ae-e201e981b6e8").state, checkBootId("").state]).toEqual(["ok", "bad"]);
  });
});

describe("a controller", () => {
  it.each<[Reach, string, RegExp]>([
    [{ state: "ok", protocol: "TLSv1.3" }, "ok", /^c:7443: TLSv1\.3$/],
    [
      { state: "timeout", stage: "TCP", deadlineMs: 5000 },
      "bad",
      /no answer in 5000 ms; let this host through the firewalls/,
    ],
    [{ state: "timeout", stage: "TLS", deadlineMs: 5000 }, "bad", /connects, but no TLS in 5000 ms; /],
    [
      { state: "error", code: "ECONNREFUSED", text: "" },
      "bad",
      /nothing listens there; start the controller.*\(ECONNREFUSED\)/,
    ],
    [{ state: "error", code: "ENOTFOUND", text: "" }, "bad", /the name is not known; /],
    [
      { state: "error", code: "EWHAT", text: "odd thing" },
      "bad",
      /odd thing; look into the controller's log \(EWHAT\)/,
    ],
  ])("%j: %s", (reach, state, text) => {
    const found = checkReach("controller", "c:7443", reach);
    expect(found.state).toBe(state);
    expect(found.text).toMatch(text);
  });
});

it("what is bad comes last, one line each", () => {
  expect(
    render([
      { state: "bad", check: "disk", text: "full\nof it" },
      { state: "ok", check: "clock", text: "fine" },
    ]),
  ).toBe("ok    clock  fine\nbad   disk   full of it\n");
});
