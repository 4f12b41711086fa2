import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { LabError, run } from "./system.ts";

// What the guests of a lab boot: the kernel of a Debian package that is never installed, and an initramfs of a few files. A guest has
// no file system, no network and no other process: it counts, and it switches itself off when asked.

/** Of this machine, outside of any lab: downloaded once. */
const CACHE = "/var/cache/slipway-lab/kernel";
const PACKAGE = "linux-image-cloud-amd64";

/** Drivers for the power button, without which `virsh shutdown` finds nobody. */
const modules = ["button.ko", "evdev.ko"];

/** The directory with `vmlinuz` and the modules; filled with `apt-get download` where it is not. */
export function guestKernel(say: (line: string) => void): string {
  if (existsSync(join(CACHE, "vmlinuz"))) return CACHE;
  say(`downloading the guests' kernel (${PACKAGE}) ...`);
  mkdirSync(dirname(CACHE), { recursive: true });
  const dir = mkdtempSync(`${CACHE}.`);
  try {
    run("sh", ["-c", 'cd "$1" && apt-get -qq download "$2" && dpkg -x *.deb tree', "sh", dir, kernelPackage()]);
    const files = run("find", [join(dir, "tree"), "-type", "f"]).split("\n");
    mkdirSync(join(dir, "kernel"));
    for (const name of ["vmlinuz", ...modules]) {
      const file = files.find((path) => (path.split("/").pop() ?? "").replace(/^(vmlinuz)-.*/, "$1") === name);
      if (file === undefined) throw new LabError(`${PACKAGE}: the package has no ${name}`);
      copyFileSync(file, join(dir, "kernel", name));
    }
    // Another lab may have been faster; either is as good.
    if (!existsSync(CACHE)) renameSync(join(dir, "kernel"), CACHE);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return CACHE;
}

/** The package that the meta package stands for. */
function kernelPackage(): string {
  const depends = () => /^ *Depends: (linux-image-\d\S*)$/m.exec(run("apt-cache", ["depends", PACKAGE]))?.[1];
  try {
    const name = depends();
    if (name !== undefined) return name;
  } catch {
    // The machine has no package lists yet.
  }
  run("apt-get", ["update", "-qq"]);
  const name = depends();
  if (name === undefined) throw new LabError(`${PACKAGE}: this machine's package sources do not have it`);
  return name;
}

/**
 * The guest's only program. On its serial port, each second: `counter TOKEN N`. The token is drawn at its boot: a guest that was
 * restarted has another one, a guest that was moved goes on with both.
 */
const init = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
exec >/dev/ttyS0 2>&1 </dev/null
insmod /button.ko
insmod /evdev.ko
grep -q deaf /proc/cmdline || for button in /dev/input/event*; do
  ( head -c 1 "$button" >/dev/null && poweroff -f ) &
done
off=$(sed -n 's/.*off=\\([0-9]*\\).*/\\1/p' /proc/cmdline)
[ -z "$off" ] || ( sleep "$off" && poweroff -f ) &
token=$(cat /proc/sys/kernel/random/boot_id)
n=0
while :; do
  n=$((n + 1))
  echo "counter $token $n"
  sleep 1
done
`;

/** Writes `vmlinuz` and `initrd` into a directory. */
export function buildGuest(kernel: string, target: string): void {
  const tree = join(target, "tree");
  for (const path of ["bin", "dev", "proc", "sys"]) mkdirSync(join(tree, path), { recursive: true });
  copyFileSync(run("sh", ["-c", "command -v busybox"]).trim(), join(tree, "bin/busybox"));
  for (const name of modules) copyFileSync(join(kernel, name), join(tree, name));
  writeFileSync(join(tree, "init"), init, { mode: 0o755 });
  run("sh", ["-c", 'cd "$1" && find . | cpio -o -H newc --quiet > ../initrd', "sh", tree]);
  copyFileSync(join(kernel, "vmlinuz"), join(target, "vmlinuz"));
  rmSync(tree, { recursive: true });
}
