import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Pool, until } from "./kit.ts";

let pool: Pool;
beforeAll(async () => {
  pool = await Pool.start(1);
});
afterAll(() => pool.stop());
beforeEach(() => {
  rmSync(pool.hooksDir("hv1"), { recursive: true, force: true });
  mkdirSync(pool.hooksDir("hv1"));
});

/** Live processes whose environment carries this text. */
function processesWith(text: string): number[] {
  return readdirSync("/proc")
    .filter((f) => /^\d+$/.test(f))
    .map(Number)
    .filter((pid) => {
      try {
        return (
          readFileSync(`/proc/${pid}/environ`, "utf8").includes(text) &&
          !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")
        );
      } catch {
        return false;
      }
    });
}

describe("a hook", () => {
  test("that writes 100 MB to both streams ends promptly, with the right verdict and a marked cut", async () => {
    // Two pipes: which of them is read last is nobody's to say, so each ends with it.
    pool.hook(
      "Maintenance",
      'echo first line\nhead -c 50000000 /dev/zero | tr "\\0" x &\nhead -c 50000000 /dev/zero | tr "\\0" y >&2\nwait\necho last line | tee /dev/stderr\nexit 4',
    );
    const { report } = await pool.roll("--hosts", "hv1", "--timeout", "300");
    const stage = report.hosts[0]?.stages.find((s) => s.stage === "Maintenance");
    expect(stage).toMatchObject({ verdict: "failed", exitCode: 4 });
    expect(stage?.output).toMatch(/^first line\n/);
    expect(stage?.output).toMatch(/last line\n$/);
    expect(stage?.output).toMatch(/\n.*output cut: \d+ bytes.*\n/);
    expect(stage?.output.length).toBeLessThan(80_000);
    await pool.slipway("uncordon", "hv1");
  });

  test("that ignores TERM is dead with all its children soon after its deadline", async () => {
    const marker = `SLIPWAY_E2E_MARK=${process.pid}.${Math.random()}`;
    pool.hook(
      "Maintenance",
      `export ${marker}\ntrap "" TERM\n(trap "" TERM; sleep 600) &\nsetsid sh -c 'trap "" TERM; sleep 600; :' &\nsleep 600 & wait; wait; sleep 600`,
    );
    const { report } = await pool.roll("--hosts", "hv1", "--timeout", "2", "--ping-interval", "1", "--grace", "1");
    expect(report.hosts[0]).toMatchObject({ outcome: "failed" });
    expect(report.hosts[0]?.stages.at(-1)).toMatchObject({ stage: "Maintenance", verdict: "timed-out" });
    await until("all processes of the hook are gone", () => processesWith(marker).length === 0, 5000);
    await pool.slipway("uncordon", "hv1");
  });

  test("gets the words of the payload literally", async () => {
    const seen = join(pool.dir, "seen");
    pool.hook("Maintenance", `for w in "$@"; do printf '%s\\0' "$w"; done > ${seen}`);
    const big = "ü".repeat(50_000);
    const words = [
      "param1=val1",
      "a;b",
      "$(touch /nonexistent)",
      "`id`",
      "x,y",
      "two words",
      "it's",
      'say "hi"',
      "line\nbreak",
      "☃ $HOME *",
      "",
      "\\",
      big,
    ];
    const payload = words.map((w) => `'${w.replaceAll("'", "'\\''")}'`).join(" ");
    const file = join(pool.dir, "payload");
    writeFileSync(file, payload);
    const { status } = await pool.roll("--hosts", "hv1", "--payload-file", file);
    expect(status).toBe(0);
    expect(readFileSync(seen, "utf8").split("\0").slice(0, -1)).toEqual(words);
  });

  test("gets the documented environment and no more of the agent's own", async () => {
    pool.hook("Maintenance", "env");
    const { report } = await pool.roll("--hosts", "hv1");
    const output = report.hosts[0]?.stages.find((s) => s.stage === "Maintenance")?.output ?? "";
    const names = output.split("\n").map((l) => l.replace(/=.*/, ""));
    for (const name of [
      "SLIPWAY_RUN",
      "SLIPWAY_HOST",
      "SLIPWAY_STAGE",
      "SLIPWAY_ATTEMPT",
      "SLIPWAY_BOOT_ID",
      "SLIPWAY_LABEL_CLUSTER",
      "SLIPWAY_OUTPUT",
    ])
      expect(names).toContain(name);
    expect(
      names.filter((n) => n !== "" && !/^(SLIPWAY_.*|PATH|HOME|LANG|PWD|OLDPWD|SHLVL|_|USER|LOGNAME|SHELL)$/.test(n)),
    ).toEqual([]);
  });

  const file = () => join(pool.hooksDir("hv1"), "Maintenance");
  test.each([
    ["is a directory", () => mkdirSync(file()), /directory/],
    ["is not executable", () => writeFileSync(file(), "#!/bin/sh\n", { mode: 0o644 }), /not executable/],
    [
      "is writable by its group",
      () => {
        writeFileSync(file(), "#!/bin/sh\n");
        chmodSync(file(), 0o775);
      },
      /writable by/,
    ],
    ["is a dangling link", () => symlinkSync("/nonexistent/hook", file()), /dangling|link/],
    [
      "has CRLF in its first line",
      () => {
        writeFileSync(file(), "#!/bin/sh\r\necho hi\r\n");
        chmodSync(file(), 0o755);
      },
      /CRLF|carriage return/i,
    ],
    [
      "names an interpreter that is not there",
      () => {
        writeFileSync(file(), "#!/nonexistent/python9\n");
        chmodSync(file(), 0o755);
      },
      /\/nonexistent\/python9/,
    ],
  ])("that %s is refused by name, before anything is changed", async (_, make, reason) => {
    make();
    const plan = JSON.parse((await pool.slipway("plan", "--hosts", "hv1", "--json")).stdout) as {
      blockers: { text: string }[];
    };
    expect(plan.blockers.map((b) => b.text).join()).toMatch(reason);
    const { status, report } = await pool.roll("--hosts", "hv1");
    expect(status).toBe(1);
    expect(report.hosts[0]).toMatchObject({ outcome: "failed", reason: expect.stringMatching(reason), stages: [] });
  });

  test("that is missing leaves its host skipped, with the reason", async () => {
    const { status, report } = await pool.roll("--hosts", "hv1");
    expect(status).toBe(3);
    expect(report.hosts[0]).toMatchObject({ outcome: "skipped", reason: expect.stringMatching(/no Maintenance hook/) });
  });
});
