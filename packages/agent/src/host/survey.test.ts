import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../testing/bench.ts";
import { kernelFlavour, newerKernel } from "./kernel.ts";
import { HostSurvey, needsRestartingSays } from "./survey.ts";

describe("the newest kernel", () => {
  it.each([
    ["6.1.0-40-amd64", ["6.1.0-9-amd64", "6.1.0-40-amd64", "6.1.0-44-amd64"], "6.1.0-44-amd64"],
    ["6.1.0-44-amd64", ["6.1.0-40-amd64", "6.1.0-44-amd64"], ""],
    ["6.1.0-44-amd64", ["6.12.9+bpo-amd64"], "6.12.9+bpo-amd64"],
    ["6.1.0-40-amd64", ["6.1.0-44-cloud-amd64", "6.1.0-44-rt-amd64"], ""],
    ["5.14.0-427.13.1.el9_4.x86_64", ["5.14.0-503.11.1.el9_5.x86_64"], "5.14.0-503.11.1.el9_5.x86_64"],
    ["5.14.0-503.11.1.el9_5.x86_64", ["5.14.0-503.14.1.el9_5.x86_64+debug", "0-rescue-b6a1"], ""],
    ["6.8.12-4-pve", ["6.8.12-11-pve"], "6.8.12-11-pve"],
    ["5.15.0-91-generic", ["5.15.0-100-generic", "5.15.0-100-lowlatency"], "5.15.0-100-generic"],
    ["6.18.5", [], ""],
  ])("beside %s, of %j, is %j", (running, installed, newest) => {
    expect(newerKernel(running, installed)).toBe(newest);
  });
  it("is looked for among its own kind", () => {
    expect(["6.1.0-44-amd64", "6.12.48+deb13-amd64", "5.14.0-503.el9_5.x86_64"].map(kernelFlavour)).toEqual([
      "amd64",
      "amd64",
      "x86_64",
    ]);
  });
});

describe("what the host says", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "slipway-survey-"));
    for (const name of ["run", "boot", "modules"]) mkdirSync(join(dir, name));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const survey = () =>
    new HostSurvey(() => 5000, {
      run: join(dir, "run"),
      boot: join(dir, "boot"),
      modules: join(dir, "modules"),
      needsRestarting: join(dir, "needs-restarting"),
      kernelRunning: "6.1.0-40-amd64",
    });
  function needsRestarting(body: string): void {
    writeFileSync(join(dir, "needs-restarting"), `#!/bin/sh\n${body}\n`);
    chmodSync(join(dir, "needs-restarting"), 0o755);
  }

  it("is nothing on a host that has nothing to say", () => {
    expect(survey().facts("a")).toEqual({
      rebootWanted: "",
      rebootUnknown: "",
      kernelRunning: "6.1.0-40-amd64",
      kernelNewest: "",
      uptimeMs: 5000,
    });
  });
  it("is Debian's mark, with the packages that left it, and the newer kernel", () => {
    writeFileSync(join(dir, "run", "reboot-required"), "");
    writeFileSync(join(dir, "run", "reboot-required.pkgs"), "linux-image-6.1.0-44-amd64\nlibc6\nlibc6\n");
    writeFileSync(join(dir, "boot", "vmlinuz-6.1.0-44-amd64"), "");
    mkdirSync(join(dir, "modules", "6.1.0-45-amd64"));
    expect(survey().facts("a")).toMatchObject({
      rebootWanted: `${join(dir, "run")}/reboot-required exists (linux-image-6.1.0-44-amd64, libc6)`,
      kernelNewest: "6.1.0-44-amd64",
    });
  });
  it("is asked of needs-restarting, without waiting for it, once for each step", async () => {
    needsRestarting(
      `[ "$1" = -r ] || exit 9; echo x >> ${join(dir, "asked")}; echo "Reboot is required to fully utilize these updates."; exit 1`,
    );
    const one = survey();
    expect(one.facts("a")).toBeUndefined();
    const facts = await until(() => one.facts("a"));
    expect(facts.rebootWanted).toBe("needs-restarting -r says so");
    expect(one.facts("a")).toEqual(facts);
    expect(one.facts("b")).toBeUndefined();
    await until(() => one.facts("b"));
  });
  it.each([
    [null, "Reboot should not be necessary.", "", ""],
    [{ code: 1, message: "" }, "Reboot is required to fully utilize these updates.", "needs-restarting -r says so", ""],
    [{ code: 1, message: "" }, "", "", "needs-restarting -r: failed (1)"],
    [{ code: 127, message: "" }, "", "", "needs-restarting -r: failed (127)"],
    [{ code: null, killed: true, message: "" }, "", "", "needs-restarting -r: no answer in 30000 ms"],
  ])("an answer that cannot be had is said to be unknown: %j, %j", (error, stdout, rebootWanted, rebootUnknown) => {
    expect(needsRestartingSays(error, stdout)).toEqual({ rebootWanted, rebootUnknown });
  });
});
