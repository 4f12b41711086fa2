import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { skipped, until } from "./kit.ts";
import { labsWithGroups } from "./lib/cgroups.ts";
import { Lab } from "./lib/lab.ts";
import { checkout } from "./lib/packages.ts";
import { clearDead, labs, readEntry } from "./lib/registry.ts";
import { attempt, run } from "./lib/system.ts";

// The lab itself: what its hosts see, and that nothing is left of it however it ends. Hosts are booted without Slipway.

const main = fileURLToPath(new URL("lib/main.ts", import.meta.url));
const module_ = fileURLToPath(new URL("lib/lab.ts", import.meta.url));

const settings = (name: string, hosts: readonly string[]) => ({
  ...{ name, hosts, checkout, packages: [], binds: [], firmwareMs: 100, diskMiB: 64 },
});

/** Another run of the tests on the same machine has labs of its own. */
const own = (name: string) => `${name}-${process.pid}`;
const LEFT = own("left");
const HOST = `l${process.pid}`;

const up: Lab[] = [];
async function boot(name: string, hosts: readonly string[]): Promise<Lab> {
  const lab = await Lab.boot({ settings: settings(name, hosts), dieWithParent: true });
  up.push(lab);
  return lab;
}
afterEach(async () => {
  for (const lab of up.splice(0)) await lab.down();
});

/** What a lab of this name has left on the machine, in words. */
function leftOf(name: string): string[] {
  const left: string[] = [];
  for (const pid of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    const words = commandOf(pid);
    if (words.includes(`"name":"${name}"`) || words.includes(`-M ${HOST} `)) left.push(`process ${pid}: ${words}`);
  }
  if (readFileSync("/proc/self/mounts", "utf8").includes(name)) left.push("a mount");
  if (/lab0|vb-/.test(run("ip", ["-br", "link"]))) left.push("a link");
  if (labsWithGroups().includes(name)) left.push("control groups");
  if (labs().includes(name)) left.push("its directory");
  return left;
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

describe.skipIf(skipped !== undefined)("a lab", () => {
  test("has bare hosts with a name, an id, a boot id, an address and a disk of their own; two labs do not meet", async () => {
    const [one, two] = await Promise.all([boot(own("one"), ["a", "b"]), boot(own("two"), ["a"])]);
    const facts = (lab: Lab, host: string) =>
      lab.sh(
        host,
        "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id; ip -4 -o addr show host0 | grep -o 10.77[^/]*",
      );
    const seen = (await Promise.all([facts(one, "a"), facts(one, "b"), facts(two, "a")])).map((text) =>
      text.split("\n"),
    );
    expect(seen.map(([name, , , address]) => [name, address])).toEqual([
      ["a", "10.77.0.10"],
      ["b", "10.77.0.11"],
      ["a", "10.77.0.10"],
    ]);
    for (const column of [1, 2]) expect(new Set(seen.map((fact) => fact[column])).size).toBe(3);
    await one.sh("a", "ping -c 1 -W 2 b >/dev/null 2>&1 || getent hosts b");
    // Nothing of the machine's own: neither its checkout nor its Node, and no way to write to it.
    expect((await one.exec("a", ["ls", checkout])).status).not.toBe(0);
    expect((await one.exec("a", ["sh", "-c", "command -v node npm"])).status).not.toBe(0);
    await one.sh("a", "echo x > /etc/lab-was-here");
    expect(existsSync("/etc/lab-was-here")).toBe(false);
    expect((await one.exec("b", ["test", "-e", "/etc/lab-was-here"])).status).toBe(1);
    expect(readFileSync(one.path("a", "/etc/lab-was-here"), "utf8")).toBe("x\n");
  });

  test("reboots, loses power, is cut off and healed; disks outlive it all", async () => {
    const lab = await boot(own("power"), ["a", "b"]);
    const bootId = () => lab.sh("a", "cat /proc/sys/kernel/random/boot_id");
    const reaches = async () =>
      (await lab.exec("b", ["bash", "-c", "echo > /dev/tcp/a/7"], { limitMs: 1500 })).stderr.includes("refused");
    const first = await bootId();
    await lab.sh("a", "echo kept > /var/kept");
    const cutOff = lab.exec("a", ["sleep", "7777"], { limitMs: 8_000_000 });
    await lab.reboot("a");
    await lab.waitForBoot("a", 2);
    expect((await cutOff).status).not.toBe(0);
    const second = await bootId();
    await lab.powercut("a");
    await lab.waitForBoot("a", 3);
    expect(new Set([first, second, await bootId()]).size).toBe(3);
    await lab.powercut("a", true);
    await until("a is off", async () => (await lab.host("a")).state === "off");
    expect(readFileSync(lab.path("a", "/var/kept"), "utf8")).toBe("kept\n");
    await expect(lab.sh("a", "true")).rejects.toThrow("a is off; npm run lab -- boot a starts it");
    await lab.boots("a");
    expect(await lab.sh("a", "cat /var/kept")).toBe("kept\n");
    await until("b reaches a", reaches);
    await lab.isolate("a");
    expect(await reaches()).toBe(false);
    await lab.heal("a");
    await until("b reaches a again", reaches);
    // Memory limits are the kernel's, also where nspawn would show them read-only.
    const eater = await lab.exec(
      "a",
      "systemd-run -q --wait -p MemoryMax=32M -p MemorySwapMax=0 tail /dev/zero".split(" "),
    );
    expect(eater.status).not.toBe(0);
  });

  test("leaves nothing behind: taken down, its owner killed, its keeper killed", async () => {
    const lab = await boot(LEFT, [HOST]);
    expect(leftOf(LEFT)).not.toEqual([]);
    await lab.down();
    up.length = 0;
    expect(leftOf(LEFT)).toEqual([]);

    const script = `import { Lab } from ${JSON.stringify(module_)};
      await Lab.boot({ settings: ${JSON.stringify(settings(LEFT, [HOST]))}, dieWithParent: true });
      console.log("up"); setInterval(() => {}, 1e6);`;
    const owner = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => owner.stdout.once("data", resolve));
    owner.kill("SIGKILL");
    await until("the lab of a killed owner is gone", () => leftOf(LEFT).length === 0, 20_000);

    await boot(LEFT, [HOST]);
    up.length = 0;
    const keeper = readEntry(LEFT)?.keeper ?? 0;
    process.kill(keeper, "SIGKILL");
    await until("its processes are gone", () => !leftOf(LEFT).some((thing) => thing.startsWith("process")), 20_000);
    // Only files are left, and the next command of the tool clears them away.
    await until(
      "the rest is cleared away",
      () => {
        clearDead();
        return leftOf(LEFT).length === 0;
      },
      20_000,
    );
  });

  test("says in one line what it cannot do", async () => {
    const tool = (...words: string[]) => attempt(process.execPath, [main, ...words]);
    expect(await tool("shell", "hv1", "--name", "none")).toMatchObject({
      status: 1,
      stderr: "lab: lab none is not up; npm run lab -- up --hosts 3 brings one up\n",
    });
    expect((await tool("up", "--hosts", "0")).stderr).toBe('lab: --hosts: "0" is no number from 1 to 50\n');
    expect((await tool("up", "--name", "../x")).stderr).toMatch(/^lab: lab name "\.\.\/x": use up to 20 .*\n$/);
    expect(await tool("down", "--name", "none")).toMatchObject({ status: 0, stdout: "lab none is not up\n" });
    const nobody = await attempt("setpriv", [
      ...["--reuid=65534", "--clear-groups", process.execPath, "--input-type=module", "-e"],
      `import { obstacle } from ${JSON.stringify(fileURLToPath(new URL("lib/prerequisites.ts", import.meta.url)))};
       console.log(obstacle());`,
    ]);
    expect(nobody.stdout).toMatch(/^a lab needs root: .*\n$/);
  });
});
