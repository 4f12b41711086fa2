import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const STORAGE_DEADLINE_MS = 10_000;

/** Whether this host has a path; undefined when its storage does not answer. */
export function pathExists(path: string): Promise<boolean | undefined> {
  const device = path.startsWith("/dev/") ? deviceFacts(path, places) : undefined;
  return device === undefined ? testPath(path) : Promise.resolve(device.exists);
}

/** UUID of the file system on a block device; empty when it is not known. */
export function deviceUuid(path: string): string {
  return deviceFacts(path, places)?.fsUuid ?? "";
}

const places = { udev: "/run/udev/data", block: "/sys/class/block" };

/**
 * What udev knows of a device, by its name or any of its links. The agent's own /dev is an empty one (PrivateDevices= of its
 * unit), so looking there would tell nothing; undefined where there is no udev.
 */
export function deviceFacts(
  path: string,
  { udev, block }: { readonly udev: string; readonly block: string },
): { readonly exists: boolean; readonly fsUuid: string } | undefined {
  if (!existsSync(udev)) return undefined;
  const name = path.slice("/dev/".length);
  for (const kernelName of list(block)) {
    const number = readText(join(block, kernelName, "dev")).trim();
    const facts = readText(join(udev, `b${number}`)).split("\n");
    if (kernelName.replaceAll("!", "/") === name || facts.includes(`S:${name}`))
      return { exists: true, fsUuid: facts.find((line) => line.startsWith("E:ID_FS_UUID="))?.slice(13) ?? "" };
  }
  return { exists: false, fsUuid: "" };
}

/** In a process of its own: a path on a dead file server never answers, and would take a thread of this one with it. */
function testPath(path: string): Promise<boolean | undefined> {
  return new Promise((resolve) => {
    const child = spawn("/usr/bin/test", ["-e", path], { stdio: "ignore" });
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      child.unref();
      resolve(undefined);
    }, STORAGE_DEADLINE_MS);
    const end = (found: boolean | undefined) => {
      clearTimeout(timer);
      resolve(found);
    };
    child.once("error", () => end(undefined));
    child.once("exit", (code) => end(code === 0 ? true : code === 1 ? false : undefined));
  });
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
