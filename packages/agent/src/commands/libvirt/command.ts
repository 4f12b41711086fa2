import { SlipwayError } from "@slipway/shared";
import type { Settings } from "../../config/settings.ts";
import { realLocal } from "../../platform/libvirt/local.ts";
import { Reader } from "../../platform/libvirt/reader.ts";
import { RealVirsh } from "../../platform/libvirt/virsh.ts";
import { findDaemon, hasSystemd, hostSystemctl, openTlsPort } from "./daemon.ts";
import { planTls, writeTls } from "./tls.ts";

/**
 * `slipway-agent libvirt-tls`: this host's certificate becomes libvirt's, and libvirt's TLS port opens to the other hosts of the
 * pool. May be repeated, and is after a new certificate. Returns what was done, a line each.
 * Errors: those of planTls; `refused` while a guest moves.
 */
export async function libvirtTls(settings: Settings, replace: boolean): Promise<string> {
  if (process.getuid?.() !== 0)
    throw new SlipwayError("not-allowed", "libvirt-tls: libvirt's certificates are root's", { fix: "run it as root" });
  const daemon = await findDaemon(hostSystemctl);
  const plan = planTls(settings, daemon.config, replace);
  const isChanged = plan.files.length > 0 || plan.config !== undefined;
  if (isChanged) await refuseWhileMoving(settings);
  writeTls(plan);
  const written = [...plan.files.map(([path]) => path), ...(plan.config === undefined ? [] : [plan.config.path])];
  const lines = written.map((path) => `wrote ${path}`);
  if (written.length === 0) lines.push("certificates are in place");
  lines.push(
    hasSystemd()
      ? await openTlsPort(daemon, isChanged, hostSystemctl)
      : `there is no systemd here: start ${daemon.name} with its TLS port yourself`,
  );
  return `${lines.join("\n")}\n`;
}

/** The daemon starts anew, and a migration that it carries out would end with it. */
async function refuseWhileMoving(settings: Settings): Promise<void> {
  const virsh = new RealVirsh(settings.libvirtUri);
  const options = { virsh, local: realLocal, reserveMib: 0, sharedPaths: [], migrationUri: "", migrationAddress: "" };
  const { instances } = await new Reader(options).read();
  const busy = instances.find((one) => one.job !== "" && one.job !== "unknown");
  if (busy !== undefined)
    throw new SlipwayError("refused", `${busy.name} is ${busy.job}, and libvirt has to be restarted`, {
      fix: "run this again when that is done",
    });
}
