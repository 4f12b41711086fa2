import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { isAbsolute, join } from "node:path";
import { NAME_PATTERN, nearest, SlipwayError } from "@slipway/shared";
import type { StepLimits } from "../executors/systemd/unit.ts";
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
  /** `slipway.platform`: none, or simulated for a host that only pretends to reboot. Default none. */
  readonly platform: "none" | "simulated";
  /** `slipway.keepalive.ms`: silence after which the controller is asked whether it lives, in milliseconds. Default 3000. */
  readonly keepaliveMs: number;
  /** `slipway.keepalive.timeout.ms`: time for its answer, in milliseconds. Default 2000. */
  readonly keepaliveTimeoutMs: number;
}

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
  "slipway.platform",
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

  const disabled = value("rolling.maintenance.service.executor.disabled").toLowerCase();
  if (!["", "true", "false"].includes(disabled))
    throw refuse("rolling.maintenance.service.executor.disabled", "write true or false");
  const push = value("slipway.hooks.push").toLowerCase();
  if (!["", "true", "false"].includes(push)) throw refuse("slipway.hooks.push", "write true or false");
  const platform = value("slipway.platform") || "none";
  if (platform !== "none" && platform !== "simulated") throw refuse("slipway.platform", "write none or simulated");
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
    platform,
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
