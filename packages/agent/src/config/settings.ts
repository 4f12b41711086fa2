import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import { hostname } from "node:os";
import { isAbsolute, join } from "node:path";
import { NAME_PATTERN, nearest, SlipwayError } from "@slipway/shared";
import type { StepLimits } from "../executors/systemd/unit.ts";
import type { SharedPath } from "../platform/libvirt/storage.ts";
import { PROBES_DIR } from "../probes/command/script.ts";
import { type Property, parseProperties } from "./properties.ts";

/** What the agent is told by its agent.properties. */
export interface Settings {
  /** `rolling.maintenance.hooks.dir`: absolute path; empty when not set. CloudStack's key. */
  readonly hooksDir: string;
  /** `rolling.maintenance.service.executor.disabled`: true asks for the direct executor. CloudStack's key. Default false. */
  readonly serviceExecutorDisabled: boolean;
  /** `slipway.controllers`: `host:port,...`, tried in turn. Default: none. */
  readonly controllers: readonly string[];
  /** `slipway.enrol`: `host:port` of the enrolment port; needed until there is a certificate. */
  readonly enrol: string;
  /** `slipway.token.file`: path of a one-time token; used while there is no certificate, deleted once there is. */
  readonly tokenFile: string;
  /** `slipway.host`: this host's name. Default: the machine's name up to the first dot. */
  readonly host: string;
  /** `slipway.labels`: `name=value,...`. Default: none. */
  readonly labels: Readonly<Record<string, string>>;
  /** `slipway.state.dir`: absolute path. Default /var/lib/slipway-agent. */
  readonly stateDir: string;
  /** `slipway.tls.ca`, `slipway.tls.certificate`, `slipway.tls.key`: paths. Default: ca.pem, agent.pem, agent.key in tls/ of the state directory. */
  readonly tls: { readonly ca: string; readonly certificate: string; readonly key: string };
  /**
   * `slipway.step.memory.max`, `slipway.step.tasks.max`, `slipway.step.cpu.quota`: bounds of each hook under the systemd executor,
   * in systemd's notation: bytes with K, M, G or a percentage (at least 64M); processes and threads (at least 32); a
   * percentage of one processor. Default: the host's own.
   */
  readonly limits: StepLimits;
  /**
   * `slipway.hooks.push`: true lets an operator of the controller replace the content of the hooks directory, which is code
   * that runs with the agent's rights. Default false.
   */
  readonly hooksPush: boolean;
  /**
   * `slipway.probes.dir`: absolute path of the site's own probes, scripts that run with the agent's rights when the pool file names
   * them. Default /etc/slipway/probes.d.
   */
  readonly probesDir: string;
  /**
   * `slipway.platform`: who runs the instances of this host. none, libvirt, fleet, or simulated for a host that only pretends to have
   * any, and to reboot. Default none: the agent knows of no instances, moves none and counts none.
   */
  readonly platform: (typeof platforms)[number];
  /** `slipway.simulated.world`: directory that the simulated hosts of a pool share. Default: world/ in the state directory. */
  readonly simulatedWorld: string;
  /** `slipway.libvirt.uri`: of this host's libvirtd. Default qemu:///system. */
  readonly libvirtUri: string;
  readonly migration: {
    /** `slipway.migration.uri`: by which the libvirtd of another host connects to this one. Default qemu+tls://HOST/system. */
    readonly uri: string;
    /**
     * `slipway.migration.address`: name or IP address of this host that the memory stream comes to, on a network of its own if
     * there is one; here as libvirt wants it, "tcp://10.1.0.2". Default: none, libvirt chooses.
     */
    readonly address: string;
  };
  /** `slipway.platform.reserved.memory`: memory that instances are not given, in MiB. Default 1024, which is CloudStack's. */
  readonly reservedMemoryMib: number;
  /**
   * `slipway.shared.paths`: `name=/path,...`, directories whose content other hosts reach under the same name, where the mounts
   * do not show it. Default: none.
   */
  readonly sharedPaths: readonly SharedPath[];
  /** `slipway.keepalive.ms`: silence after which the controller is asked whether it lives, in milliseconds. Default 3000. */
  readonly keepaliveMs: number;
  /** `slipway.keepalive.timeout.ms`: time for its answer, in milliseconds. Default 2000. */
  readonly keepaliveTimeoutMs: number;
}

const platforms = ["none", "libvirt", "fleet", "simulated"] as const;
const URI = /^[a-z][a-z0-9+.-]*:\/\/[^\s/]*\/\S*$/;
const ADDRESS = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/;
const keys = [
  "slipway.controllers",
  "slipway.enrol",
  "slipway.token.file",
  "slipway.host",
  "slipway.labels",
  "slipway.state.dir",
  "slipway.tls.ca",
  "slipway.tls.certificate",
  "slipway.tls.key",
  "slipway.step.memory.max",
  "slipway.step.tasks.max",
  "slipway.step.cpu.quota",
  "slipway.hooks.push",
  "slipway.probes.dir",
  "slipway.platform",
  "slipway.platform.reserved.memory",
  "slipway.simulated.world",
  "slipway.libvirt.uri",
  "slipway.migration.uri",
  "slipway.migration.address",
  "slipway.shared.paths",
  "slipway.keepalive.ms",
  "slipway.keepalive.timeout.ms",
] as const;
type Key = (typeof keys)[number] | "rolling.maintenance.hooks.dir" | "rolling.maintenance.service.executor.disabled";

/** Reads and checks an agent.properties file. Errors: `bad-input`, naming file, line, key and value. */
export function readSettings(file: string): Settings {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new SlipwayError("bad-input", `${file}: cannot be read (${code})`, {
      cause,
      fix: "give the file with --properties",
    });
  }
  return parseSettings(text, file);
}

export function parseSettings(text: string, file: string): Settings {
  const found = new Map<string, Property>();
  for (const property of parseProperties(text)) {
    // The rest of the file is CloudStack's own business.
    if (property.key.startsWith("slipway.") && !(keys as readonly string[]).includes(property.key)) {
      const match = nearest(property.key, keys);
      throw new SlipwayError("bad-input", `${file}:${property.line}: unknown key ${property.key}`, {
        fix: match === undefined ? `known are ${keys.join(", ")}` : `did you mean ${match}?`,
      });
    }
    found.set(property.key, property);
  }

  function value(key: Key): string {
    return found.get(key)?.value.trim() ?? "";
  }
  function refuse(key: Key, fix: string): SlipwayError {
    const property = found.get(key);
    return new SlipwayError("bad-input", `${file}:${property?.line}: ${key} is ${JSON.stringify(property?.value)}`, {
      fix,
    });
  }
  function path(key: Key, fallback: string): string {
    const text = value(key) || fallback;
    if (text !== "" && !isAbsolute(text)) throw refuse(key, "give an absolute path");
    return text;
  }
  function address(key: Key, text: string): string {
    const port = Number(ADDRESS.exec(text)?.[1]);
    if (!(port >= 1 && port <= 65_535)) throw refuse(key, "write host:port, an IPv6 address in brackets");
    return text;
  }
  function milliseconds(key: Key, fallback: number): number {
    const text = value(key);
    if (text === "") return fallback;
    if (!/^\d{1,9}$/.test(text) || Number(text) < 10) throw refuse(key, "give whole milliseconds, at least 10");
    return Number(text);
  }
  function limit(key: Key, pattern: RegExp, isEnough: (text: string) => boolean, fix: string): string | undefined {
    const text = value(key);
    if (text === "") return undefined;
    if (!pattern.test(text) || !isEnough(text)) throw refuse(key, fix);
    return text;
  }
  function limits(): StepLimits {
    const enough = (least: number) => (text: string) => bytes(text) >= least;
    // Runner and hook share the bounds; below these the runner alone would not fit.
    const memoryMax = limit(
      "slipway.step.memory.max",
      /^\d{1,15}[KMGT]?$|^[1-9]\d?%$/,
      (text) => text.endsWith("%") || bytes(text) >= 64 * 1024 ** 2,
      "give bytes with K, M or G, at least 64M, or a percentage of the host's memory",
    );
    const tasksMax = limit("slipway.step.tasks.max", /^\d{1,9}$/, enough(32), "give a number, at least 32");
    const cpuQuota = limit(
      "slipway.step.cpu.quota",
      /^[1-9]\d{0,5}%$/,
      () => true,
      "give a percentage of one processor, for example 150%",
    );
    return {
      ...(memoryMax === undefined ? {} : { memoryMax }),
      ...(tasksMax === undefined ? {} : { tasksMax }),
      ...(cpuQuota === undefined ? {} : { cpuQuota }),
    };
  }
  function labels(): Record<string, string> {
    const out: Record<string, string> = {};
    for (const pair of list(value("slipway.labels"))) {
      const at = pair.indexOf("=");
      const name = pair.slice(0, at).trim();
      if (at < 1 || !NAME_PATTERN.test(name)) throw refuse("slipway.labels", "write name=value,name=value");
      out[name] = pair.slice(at + 1).trim();
    }
    return out;
  }

  function matching(key: Key, fallback: string, pattern: RegExp, fix: string): string {
    const text = value(key) || fallback;
    if (text !== fallback && !pattern.test(text)) throw refuse(key, fix);
    return text;
  }
  function migrationAddress(): string {
    const text = value("slipway.migration.address");
    if (text === "") return "";
    if (isIPv6(text)) return `tcp://[${text}]`;
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text))
      throw refuse("slipway.migration.address", "give a host name or an IP address, without a port");
    return `tcp://${text}`;
  }
  function sharedPaths(): SharedPath[] {
    return list(value("slipway.shared.paths")).map((pair) => {
      const at = pair.indexOf("=");
      const [name, path] = [pair.slice(0, Math.max(0, at)).trim(), pair.slice(at + 1).trim()];
      if (!NAME_PATTERN.test(name) || !isAbsolute(path))
        throw refuse("slipway.shared.paths", "write name=/absolute/path,name=/absolute/path");
      return { name, path };
    });
  }

  const disabled = value("rolling.maintenance.service.executor.disabled").toLowerCase();
  if (!["", "true", "false"].includes(disabled))
    throw refuse("rolling.maintenance.service.executor.disabled", "write true or false");
  const push = value("slipway.hooks.push").toLowerCase();
  if (!["", "true", "false"].includes(push)) throw refuse("slipway.hooks.push", "write true or false");
  const named = value("slipway.platform") || "none";
  const platform = platforms.find((one) => one === named);
  if (platform === undefined) throw refuse("slipway.platform", `write one of ${platforms.join(", ")}`);
  const reserved = matching("slipway.platform.reserved.memory", "1024", /^\d{1,9}$/, "give whole MiB");
  const host = value("slipway.host") || (hostname().split(".")[0] ?? "");
  if (!NAME_PATTERN.test(host)) {
    const fix = "use letters, digits, dots, dashes and underscores, at most 64, with a letter or digit at both ends";
    if (value("slipway.host") !== "") throw refuse("slipway.host", fix);
    throw new SlipwayError("bad-input", `${file}: the machine's name ${JSON.stringify(host)} is no host name`, {
      fix: "set slipway.host",
    });
  }
  const stateDir = path("slipway.state.dir", "/var/lib/slipway-agent");
  const enrol = value("slipway.enrol");
  return {
    hooksDir: value("rolling.maintenance.hooks.dir"),
    serviceExecutorDisabled: disabled === "true",
    controllers: list(value("slipway.controllers")).map((text) => address("slipway.controllers", text)),
    enrol: enrol === "" ? "" : address("slipway.enrol", enrol),
    tokenFile: path("slipway.token.file", ""),
    host,
    labels: labels(),
    stateDir,
    tls: {
      ca: path("slipway.tls.ca", join(stateDir, "tls", "ca.pem")),
      certificate: path("slipway.tls.certificate", join(stateDir, "tls", "agent.pem")),
      key: path("slipway.tls.key", join(stateDir, "tls", "agent.key")),
    },
    limits: limits(),
    hooksPush: push === "true",
    probesDir: path("slipway.probes.dir", PROBES_DIR),
    platform,
    simulatedWorld: path("slipway.simulated.world", join(stateDir, "world")),
    libvirtUri: matching("slipway.libvirt.uri", "qemu:///system", URI, "write a URI such as qemu:///system"),
    migration: {
      uri: matching(
        "slipway.migration.uri",
        `qemu+tls://${host}/system`,
        URI,
        `write a URI such as qemu+tls://${host}/system`,
      ),
      address: migrationAddress(),
    },
    reservedMemoryMib: Number(reserved),
    sharedPaths: sharedPaths(),
    keepaliveMs: milliseconds("slipway.keepalive.ms", 3_000),
    keepaliveTimeoutMs: milliseconds("slipway.keepalive.timeout.ms", 2_000),
  };
}

function bytes(text: string): number {
  return Number.parseInt(text, 10) * 1024 ** Math.max(0, " KMGT".indexOf(text.at(-1) ?? ""));
}

function list(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}
