import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { GUESTS, LOCAL } from "./hypervisor.ts";
import { type Lab, putFile } from "./lab.ts";
import { SHARED } from "./storage.ts";
import { LabError, until } from "./system.ts";

// Virtual machines on the hypervisors of a lab: real QEMU under real libvirt, each a kernel that counts (see guest-kernel.ts). They
// are emulated in software, since a lab's machine is often a virtual one itself.

export interface GuestOptions {
  /** Default 96, which is the least that it boots with. */
  readonly memoryMiB?: number;
  /** Default 1. */
  readonly vcpus?: number;
  /** A small qcow2 disk in the pool `shared`, or in `default` on the host's own disk. Default: none. */
  readonly disk?: "none" | "shared" | "local";
  /** Elements for `<devices>`. */
  readonly devices?: string;
  /** It has a USB controller, for devices of that kind. Default false. */
  readonly usb?: boolean;
  /** Elements for `<domain>`: metadata, cpu, features ... */
  readonly xml?: string;
  /** It does not react when it is asked to shut down. Default false. */
  readonly deaf?: boolean;
  /** It switches itself off so many seconds after its boot, by its own clock. */
  readonly offAfterS?: number;
  /** Default true; false: it is defined only. */
  readonly start?: boolean;
  /** libvirt starts it when the host boots. Default false. */
  readonly autostart?: boolean;
}

export interface Guest {
  readonly lab: Lab;
  readonly name: string;
}

/** Where a guest's count is: `token` is drawn at each of its boots, `count` grows by one a second. */
export interface Counter {
  readonly token: string;
  readonly count: number;
}

/** Its libvirt XML. */
export function domainXml(name: string, options: GuestOptions = {}): string {
  const { memoryMiB = 96, vcpus = 1, disk = "none", devices = "", usb = false, xml = "", deaf, offAfterS } = options;
  const words = ["console=ttyS0", "quiet", "panic=1", ...(deaf ? ["deaf"] : [])];
  if (offAfterS !== undefined) words.push(`off=${offAfterS}`);
  const source = diskFile(name, disk);
  // No cache of the host's own: what libvirt demands of a disk that moves between hosts.
  const drive =
    source === undefined
      ? ""
      : `<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='${source}'/><target dev='vda' bus='virtio'/></disk>`;
  return `<domain type='qemu'>
  <name>${name}</name>
  <memory unit='MiB'>${memoryMiB}</memory>
  <vcpu>${vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>${GUESTS}/vmlinuz</kernel>
    <initrd>${GUESTS}/initrd</initrd>
    <cmdline>${words.join(" ")}</cmdline>
  </os>
  <features><acpi/></features>
  ${xml}
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='${usb ? "qemu-xhci" : "none"}'/>
    <memballoon model='none'/>
    <serial type='file'><source path='${GUESTS}/counters/${name}' append='on'/></serial>
    ${drive}
    ${devices}
  </devices>
</domain>
`;
}

function diskFile(name: string, disk: GuestOptions["disk"]): string | undefined {
  if (disk === "shared") return `${SHARED}/${name}.qcow2`;
  return disk === "local" ? `${LOCAL}/${name}.qcow2` : undefined;
}

/** Defines a guest on a host, starts it unless told otherwise, and waits until it counts. */
export async function createGuest(lab: Lab, host: string, name: string, options: GuestOptions = {}): Promise<Guest> {
  if (!/^[a-z][a-z0-9-]{0,39}$/.test(name))
    throw new LabError(`guest name "${name}": use up to 40 small letters, digits and dashes`);
  const file = diskFile(name, options.disk);
  if (file !== undefined) await lab.sh(host, `qemu-img create -q -f qcow2 ${file} 64M`);
  const xml = `/var/tmp/${name}.xml`;
  putFile(lab, host, xml, domainXml(name, options));
  await lab.sh(host, `virsh -q define ${xml}; status=$?; rm ${xml}; exit $status`);
  if (options.autostart) await lab.sh(host, `virsh -q autostart ${name}`);
  const guest: Guest = { lab, name };
  if (options.start ?? true) {
    await lab.sh(host, `virsh -q start ${name}`);
    await until(`${name} counts`, () => counter(guest) !== undefined);
  }
  return guest;
}

/** The last lines that a guest printed beside its counts: its kernel's, when it went down by itself. */
export function lastWords(guest: Guest): string {
  const lines = tail(guest).split(/\r?\n/);
  return lines
    .filter((line) => line !== "" && !line.startsWith("counter "))
    .slice(-20)
    .join("\n");
}

/** The end of the file is enough: lines are short. */
const TAIL_BYTES = 4096;

/** What a guest counted last, wherever it is and whether it runs or not; undefined when it never did. */
export function counter(guest: Guest): Counter | undefined {
  const lines = [...tail(guest).matchAll(/^counter ([0-9a-f-]{36}) (\d+)\r?\n/gm)];
  const [, token, count] = lines.at(-1) ?? [];
  return token === undefined ? undefined : { token, count: Number(count) };
}

function tail({ lab, name }: Guest): string {
  let file: number;
  try {
    file = openSync(join(lab.guests, "counters", name), "r");
  } catch {
    return "";
  }
  try {
    const buffer = Buffer.alloc(TAIL_BYTES);
    const length = readSync(file, buffer, 0, TAIL_BYTES, Math.max(0, fstatSync(file).size - TAIL_BYTES));
    return buffer.toString("utf8", 0, length);
  } finally {
    closeSync(file);
  }
}

/** Waits until a guest has counted on, and returns its new count. It counts no more: an error. */
export async function counts(guest: Guest, since = counter(guest), limitMs = 20_000): Promise<Counter> {
  let now: Counter | undefined;
  await until(
    `${guest.name} counts on from ${since?.count ?? "nothing"}`,
    () => {
      now = counter(guest);
      return now !== undefined && (now.token !== since?.token || now.count > since.count);
    },
    limitMs,
  );
  return now as Counter;
}

/** An error unless the guest ran on from `before` to `after`, which is later, without having been started again. */
export function assertRanOn(before: Counter | undefined, after: Counter | undefined): void {
  const words = (counter: Counter | undefined) => (counter === undefined ? "nothing" : `${counter.count}`);
  if (before === undefined || after === undefined || after.count <= before.count)
    throw new LabError(`the guest does not count: from ${words(before)} to ${words(after)}`);
  if (before.token !== after.token)
    throw new LabError(`the guest was started again: it had counted to ${before.count}, now it is at ${after.count}`);
}

/** The guests of a lab that have ever counted. */
export function guestsOf(lab: Lab): Guest[] {
  const dir = join(lab.guests, "counters");
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .sort()
    .map((name) => ({ lab, name }));
}

/** The guests that a host's libvirt knows, with their state in its words: `running`, `shut off`, `paused` ... */
export async function domainsOf(lab: Lab, host: string): Promise<ReadonlyMap<string, string>> {
  const rows = (await lab.sh(host, "virsh -q list --all")).split("\n");
  return new Map(
    rows.flatMap((row) => {
      const [, name, state] = /^\s*\S+\s+(\S+)\s+(\S.*?)\s*$/.exec(row) ?? [];
      return name === undefined || state === undefined ? [] : [[name, state]];
    }),
  );
}
