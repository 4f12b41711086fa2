// The Debian packages: built, unpacked and looked at; installed they are in test/lab.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSettings } from "../../packages/agent/src/config/settings.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const VERSION = "9.8.7";
const names = ["slipway-agent", "slipway-cli", "slipway-controller", "slipway-runtime"];

const has = (program: string) => spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0;
const canBuild = has("dpkg-deb") && (process.arch === "x64" || process.arch === "arm64");
if (!canBuild) console.log("packages: skipped, dpkg-deb is missing or this is neither x64 nor arm64");

function run(program: string, args: readonly string[], env?: NodeJS.ProcessEnv) {
  return spawnSync(program, [...args], { encoding: "utf8", timeout: 240_000, ...(env ? { env } : {}) });
}

describe.skipIf(!canBuild)("packages", () => {
  const scratch = canBuild ? mkdtempSync(join(tmpdir(), "slipway-packages-")) : "";
  const tree = join(scratch, "tree");
  const node = join(tree, "usr/lib/slipway/bin/node");
  const arch = process.arch === "x64" ? "amd64" : "arm64";
  const debs = new Map<string, string>();
  const main = (name: string) => join(tree, `usr/lib/slipway/${name}/dist/main.js`);
  const text = (path: string) => readFileSync(join(tree, path), "utf8");
  const build = (out: string, only: string) => {
    const args = ["scripts/package.mjs", "--version", VERSION, "--fast", "--arch", arch, "--only", only, "--out", out];
    return run(process.execPath, [join(root, args[0] ?? ""), ...args.slice(1)]);
  };

  beforeAll(() => {
    const { status, stderr } = build(join(scratch, "a"), "runtime,agent,controller,cli");
    expect([status, stderr]).toEqual([0, ""]);
    for (const file of readdirSync(join(scratch, "a"))) debs.set(file.split("_")[0] ?? "", join(scratch, "a", file));
    for (const deb of debs.values()) expect(run("dpkg-deb", ["-x", deb, tree]).status).toBe(0);
  }, 300_000);
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  test("are four, and say what they need", () => {
    expect([...debs.keys()].sort()).toEqual(names);
    for (const [name, deb] of debs) {
      const field = (key: string) => run("dpkg-deb", ["-f", deb, key]).stdout.trim();
      expect(field("Architecture")).toBe(arch);
      expect(field("Depends")).toContain(name === "slipway-runtime" ? "libc6 (>= 2.34)" : "slipway-runtime (>= ");
      if (name !== "slipway-runtime") expect(field("Version")).toBe(VERSION);
    }
  });

  test("bring the simulator with the command", () => {
    const plan = join(scratch, "plan.json");
    writeFileSync(plan, "");
    const { status, stderr } = run(node, [main("cli"), "simulate", plan]);
    expect([status, stderr]).toEqual([2, expect.stringContaining("plan.json: is empty;")]);
  });

  test("belong to root, and only programs can be executed", () => {
    for (const deb of debs.values()) {
      for (const line of run("dpkg-deb", ["-c", deb]).stdout.trim().split("\n")) {
        const [mode = "", owner, , , , path = ""] = line.split(/\s+/);
        const isProgram = path.startsWith("./usr/bin/") || path === "./usr/lib/slipway/bin/node";
        const expected =
          mode.startsWith("d") || (isProgram && !path.endsWith("/")) ? /^[d-]rwxr-xr-x$/ : /^-rw-r--r--$/;
        expect(`${mode} ${owner} ${path}`).toMatch(new RegExp(`${expected.source.slice(0, -1)} root/root `));
      }
    }
  });

  test("have checksums of all their files, and no path of the checkout", () => {
    for (const deb of debs.values()) {
      const control = join(scratch, "control");
      run("dpkg-deb", ["-e", deb, control]);
      for (const line of readFileSync(join(control, "md5sums"), "utf8").trim().split("\n")) {
        const [sum, path = ""] = line.split("  ");
        const content = readFileSync(join(tree, path));
        expect(createHash("md5").update(content).digest("hex"), path).toBe(sum);
        if (!path.endsWith("/node")) expect(content.includes(root), path).toBe(false);
      }
      rmSync(control, { recursive: true });
    }
  });

  test("run on the Node that they bring, and on nothing else", () => {
    for (const name of ["agent", "controller", "cli"]) {
      // No PATH: nothing of the machine can be what makes it work.
      const { status, stdout, stderr } = run(node, [main(name), "--version"], {});
      expect([status, stdout.trim(), stderr], name).toEqual([0, VERSION, ""]);
    }
    for (const name of ["slipway", "slipway-agent", "slipway-controller"])
      expect(text(`usr/bin/${name}`)).toMatch(/^#!\/bin\/sh\nexec \/usr\/lib\/slipway\/bin\/node .*"\$@"\n$/);
  });

  test("the store opens: the native part fits", () => {
    const dir = join(scratch, "controller");
    expect(run(node, [main("controller"), "init", "--dir", dir], {}).stderr).toBe("");
    const { status, stderr } = run(node, [main("controller"), "token", "--dir", dir, "--host", "hv1"], {});
    expect([status, stderr]).toEqual([0, ""]);
  });

  test("the runner is where the agent looks for it, and needs nothing but itself", () => {
    expect(readFileSync(main("agent"), "utf8")).toContain("runner/main.");
    const alone = join(scratch, "alone");
    mkdirSync(alone);
    writeFileSync(join(alone, "package.json"), '{"type":"module"}');
    writeFileSync(join(alone, "main.js"), text("usr/lib/slipway/agent/dist/runner/main.js"));
    const { status, stderr } = run(node, [join(alone, "main.js"), join(scratch, "no-such-step")], {});
    expect([status, stderr]).toEqual([0, ""]);
  });

  test("agent.properties has every key, and is accepted as it is", () => {
    const shipped = text("usr/share/slipway-agent/agent.properties");
    expect(() => parseSettings(shipped, "f")).not.toThrow();
    const found = [...shipped.matchAll(/^#?((?:slipway|rolling)\.[a-z.]+)=/gm)].map((match) => match[1]).sort();
    let known = "";
    try {
      parseSettings("slipway.zzzzzzzzzzzzzzzzzzzz=1", "f");
    } catch (thrown) {
      known = (thrown as Error).message.replace(/^.*known are /, "");
    }
    const rolling = ["rolling.maintenance.hooks.dir", "rolling.maintenance.service.executor.disabled"];
    expect(found).toEqual([...rolling, ...known.split(", ")].sort());
    // Each of them is in the manual.
    const manual = gunzipSync(readFileSync(join(tree, "usr/share/man/man5/agent.properties.5.gz"))).toString();
    for (const key of found) expect(manual).toContain(`.B ${key}=`);
  });

  test("the unit waits for slipway.controllers to be set", () => {
    const words = /ExecCondition=\/bin\/grep -qE "(.*)" /.exec(text("lib/systemd/system/slipway-agent.service"));
    const isSet = (properties: string) =>
      spawnSync("grep", ["-qE", words?.[1] ?? ""], { input: properties, encoding: "utf8" }).status === 0;
    expect(isSet(text("usr/share/slipway-agent/agent.properties"))).toBe(false);
    for (const line of ["slipway.controllers=c:1", " slipway.controllers = c:1", "a=b\nslipway.controllers: c:1\n"])
      expect(isSet(line), line).toBe(true);
    for (const line of [
      "#slipway.controllers=c:1",
      "slipway.controllers=",
      "slipway.controllers=  \n",
      "xslipway.controllers=1",
    ])
      expect(isSet(line), line).toBe(false);
  });

  test("manual pages and completions know the commands", () => {
    const manual = (path: string) => gunzipSync(readFileSync(join(tree, `usr/share/man/${path}.gz`))).toString();
    expect(manual("man1/slipway.1")).toContain('.SS "slipway run abort"');
    expect(manual("man8/slipway-agent.8")).toContain('.SS "slipway-agent hooks"');
    expect(manual("man8/slipway-controller.8")).toContain('.SS "slipway-controller init"');
    const bash = join(tree, "usr/share/bash-completion/completions/slipway");
    expect(run("bash", ["-n", bash]).stderr).toBe("");
    expect(existsSync(join(tree, "usr/share/zsh/vendor-completions/_slipway"))).toBe(true);
  });

  test("an upgrade stops nothing before the new version is there", () => {
    for (const name of ["slipway-agent", "slipway-controller"]) {
      const control = join(scratch, `scripts-${name}`);
      run("dpkg-deb", ["-e", debs.get(name) ?? "", control]);
      for (const script of ["postinst", "prerm", "postrm"])
        expect(run("sh", ["-n", join(control, script)]).stderr, script).toBe("");
      // A line per call; the real ones are not in PATH.
      const [bin, log] = [join(scratch, `bin-${name}`), join(scratch, `calls-${name}`)];
      mkdirSync(bin);
      writeFileSync(log, "");
      for (const program of ["deb-systemd-invoke", "deb-systemd-helper", "systemctl"])
        writeFileSync(join(bin, program), `#!/bin/sh\necho "${program} $*" >> ${log}\n`, { mode: 0o755 });
      expect(run("/bin/sh", [join(control, "prerm"), "upgrade", "99"], { PATH: bin }).status).toBe(0);
      expect(readFileSync(log, "utf8")).toBe("");
    }
  });

  test("the same sources give the same package", () => {
    const env = { ...process.env, SOURCE_DATE_EPOCH: "1767225600" };
    const sums = ["b", "c"].map((out) => {
      const args = [join(root, "scripts/package.mjs"), "--version", VERSION, "--fast", "--arch", arch, "--only", "cli"];
      expect(run(process.execPath, [...args, "--out", join(scratch, out)], env).status).toBe(0);
      const content = readFileSync(join(scratch, out, `slipway-cli_${VERSION}_${arch}.deb`));
      return createHash("sha256").update(content).digest("hex");
    });
    expect(sums[0]).toBe(sums[1]);
  });

  test.skipIf(!has("lintian"))("lintian has no error to report", () => {
    const { stdout, stderr, error } = run("lintian", ["--fail-on", "error", "--no-cfg", ...debs.values()]);
    expect(error).toBeUndefined();
    expect(`${stdout}${stderr}`.split("\n").filter((line) => line.startsWith("E:"))).toEqual([]);
  });
});
