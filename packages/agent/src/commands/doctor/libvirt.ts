// What `slipway-agent doctor` looks at on a host with libvirt, and what it makes of it.
import { X509Certificate } from "node:crypto";
import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { StoragePool } from "@slipway/shared";
import type { Settings } from "../../config/settings.ts";
import { realLocal } from "../../platform/libvirt/local.ts";
import { Reader, type Reading } from "../../platform/libvirt/reader.ts";
import { RealVirsh } from "../../platform/libvirt/virsh.ts";
import { places } from "../libvirt/tls.ts";
import { checkCertificate, type Finding } from "./checks.ts";
import { output } from "./probes.ts";

const TLS = "run slipway-agent libvirt-tls";
const SERVER = `/${places.serverCertificate}`;
const CONNECT_DEADLINE_MS = 10_000;
const QEMU_CONF = "/etc/libvirt/qemu.conf";

/** All findings about libvirt; none where it is not this host's platform. */
export async function examineLibvirt(settings: Settings, nowMs: number): Promise<Finding[]> {
  if (settings.platform !== "libvirt") return [];
  const { libvirtUri, migration, sharedPaths, reservedMemoryMib: reserveMib } = settings;
  const virsh = new RealVirsh(libvirtUri);
  const of = { virsh, local: realLocal, reserveMib, sharedPaths };
  const where = { migrationUri: migration.uri, migrationAddress: migration.address };
  const reading = await new Reader({ ...of, ...where }).read();
  const own = checkLibvirt(libvirtUri, reading);
  if (own.state === "bad") return [own];
  // What a peer does, done from here: name, certificate and list of who may connect are checked by libvirt itself.
  const asPeer = new RealVirsh(migration.uri).run(["uri"], { timeoutMs: CONNECT_DEADLINE_MS });
  const pools = reading.capacity?.pools ?? [];
  const [peer, address, ...readable] = await Promise.all([asPeer, addressOf(hostname()), ...readablePools(pools)]);
  return [
    own,
    checkPeer(migration.uri, peer.state === "ok" ? "" : peer.text),
    ...serverCertificate(settings.tls.certificate, nowMs),
    checkAddress(migration.address, hostname(), address),
    ...readable,
  ];
}

export function checkLibvirt(uri: string, { problem, capacity, instances }: Reading): Finding {
  const check = "libvirt";
  if (problem !== "")
    return {
      state: "bad",
      check,
      text: `${uri}: ${problem}; see systemctl status libvirtd virtqemud, and run this as root`,
    };
  return {
    state: "ok",
    check,
    text: `${uri}: ${capacity?.version || "of unknown version"}, ${instances.length} instances`,
  };
}

/** `problem`: what libvirt said to a connection from here, empty when it let it in. */
export function checkPeer(uri: string, problem: string): Finding {
  const check = "migration";
  if (problem === "") return { state: "ok", check, text: `${uri}: lets this host in, as it will others` };
  return { state: "bad", check, text: `${uri}: ${problem}; ${TLS}, or correct slipway.migration.uri` };
}

/** Where libvirt tells others to send a guest's memory to. */
export function checkAddress(configured: string, name: string, resolved: string | undefined): Finding {
  const check = "migration address";
  if (configured !== "") return { state: "ok", check, text: configured };
  const fix = "set slipway.migration.address to the address of the network that guests move on";
  if (resolved === undefined) return { state: "bad", check, text: `${name} does not resolve here; ${fix}` };
  if (/^127\.|^::1$/.test(resolved))
    return { state: "bad", check, text: `${name} is ${resolved} here, which is no address for others; ${fix}` };
  return { state: "ok", check, text: `${name}, ${resolved}` };
}

/** libvirt's own certificate, as far as it is the agent's or was. */
function serverCertificate(agents: string, nowMs: number): Finding[] {
  try {
    const server = new X509Certificate(readFileSync(SERVER));
    const own = new X509Certificate(readFileSync(agents));
    const isOlder = server.subject === own.subject && !server.raw.equals(own.raw);
    const check = "libvirt certificate";
    if (isOlder) return [{ state: "note", check, text: `${SERVER}: the agent has a newer one; ${TLS}` }];
    return [{ ...checkCertificate(SERVER, Date.parse(server.validTo), nowMs), check }];
  } catch {
    // The connection above has said what is missing.
    return [];
  }
}

async function addressOf(name: string): Promise<string | undefined> {
  return (await lookup(name).catch(() => undefined))?.address;
}

/** The emulator opens disks by itself, as a user of its own. */
function readablePools(pools: readonly StoragePool[]): Promise<Finding>[] {
  const user = emulatorUser(readText(QEMU_CONF), readText("/etc/passwd"));
  if (user === undefined || process.getuid?.() !== 0) return [];
  return pools
    .filter((one) => one.active && ["dir", "fs", "netfs"].includes(one.type))
    .map(async ({ name, path }): Promise<Finding> => {
      const isReadable = (await output("runuser", ["-u", user, "--", "test", "-x", path])) !== undefined;
      const check = `pool ${name}`;
      if (isReadable) return { state: "ok", check, text: `${path}: ${user} gets there` };
      return {
        state: "bad",
        check,
        text: `${path}: ${user}, as whom guests run, does not get there; run namei -l ${path}`,
      };
    });
}

/** `user` of qemu.conf, else the distribution's; undefined when that is nobody here. */
export function emulatorUser(qemuConf: string, passwd: string): string | undefined {
  const set = [...qemuConf.matchAll(/^[ \t]*user[ \t]*=[ \t]*"\+?([A-Za-z0-9._-]+)"/gm)].at(-1)?.[1];
  const names = passwd.split("\n").map((line) => line.split(":", 1)[0] ?? "");
  return [set, "libvirt-qemu", "qemu"].find((one) => one !== undefined && names.includes(one));
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
