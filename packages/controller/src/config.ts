import { readFileSync } from "node:fs";
import { join } from "node:path";
import { nearest, SlipwayError } from "@slipway/shared";
import { isMap, isScalar, LineCounter, parseDocument } from "yaml";

/** What `controller.yaml` may say. Every key may be left out. */
export interface ControllerConfig {
  /** Address for agents and operators, mutual TLS. Default 0.0.0.0:7443. Port 0: any free one. */
  readonly listen: string;
  /** Address for enrolment, where the token is the proof. Default 0.0.0.0:7444. */
  readonly enrolListen: string;
  /** Silence after which a connection is asked whether its peer lives, in milliseconds. Default 3000. */
  readonly keepaliveMs: number;
  /** Time for the answer to that, in milliseconds. Default 2000. */
  readonly keepaliveTimeoutMs: number;
  /** How often agents tell that they are alive, in milliseconds; three missed ones mean disconnected. Default 1000. */
  readonly heartbeatMs: number;
}

export const defaultConfig: ControllerConfig = {
  listen: "0.0.0.0:7443",
  enrolListen: "0.0.0.0:7444",
  keepaliveMs: 3_000,
  keepaliveTimeoutMs: 2_000,
  heartbeatMs: 1_000,
};

const ADDRESS = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:[\]/]+):(\d{1,5})$/;

/** Files of a controller's directory. */
export function filesOf(dir: string) {
  return {
    config: join(dir, "controller.yaml"),
    ca: join(dir, "ca.pem"),
    caKey: join(dir, "ca.key"),
    certificate: join(dir, "server.pem"),
    key: join(dir, "server.key"),
    store: join(dir, "controller.db"),
    lock: join(dir, "controller.lock"),
  };
}

/** Checks `host:port`; `source` names where it was written. Errors: `bad-input`. */
export function checkAddress(address: string, source: string): string {
  const port = ADDRESS.exec(address)?.[1];
  if (port === undefined || Number(port) > 65_535)
    throw new SlipwayError("bad-input", `${source}: ${JSON.stringify(address)} is no host:port`, {
      fix: "write for example 0.0.0.0:7443 or [::]:7443",
    });
  return address;
}

/** Reads `controller.yaml` of a directory. Errors: `bad-input` with file, line, key, value, and what would be right. */
export function readConfig(dir: string): ControllerConfig {
  const file = filesOf(dir).config;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    if ((cause as { code?: unknown }).code === "ENOENT")
      throw new SlipwayError("bad-input", `${dir}: this is no directory of a controller, ${file} is missing`, {
        cause,
        fix: `make one with slipway-controller init --dir ${dir}`,
      });
    throw new SlipwayError("bad-input", `${file}: cannot be read (${(cause as Error).message})`, { cause });
  }
  return parseConfig(file, text);
}

export function parseConfig(file: string, text: string): ControllerConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const wrong = (offset: number | undefined, problem: string, fix: string) =>
    new SlipwayError("bad-input", `${file}:${lines.linePos(offset ?? 0).line}: ${problem}`, { fix });
  const broken = document.errors[0];
  if (broken) throw wrong(broken.pos[0], `not valid YAML: ${broken.message.split("\n")[0]}`, "correct that line");
  const root = document.contents;
  if (root === null) return defaultConfig;
  if (!isMap(root))
    throw wrong(root.range?.[0], "no list of keys and values", "write keys such as listen: 0.0.0.0:7443");
  const config: Record<string, string | number> = { ...defaultConfig };
  for (const { key: keyNode, value: node } of root.items) {
    const key = isScalar(keyNode) ? String(keyNode.value) : "";
    const at = isScalar(keyNode) ? keyNode.range?.[0] : undefined;
    if (!Object.hasOwn(defaultConfig, key)) {
      const near = nearest(key, Object.keys(defaultConfig));
      throw wrong(
        at,
        `key "${key}" is unknown`,
        near ? `did you mean "${near}"?` : `the keys are ${Object.keys(defaultConfig).join(", ")}`,
      );
    }
    const value: unknown = isScalar(node) ? node.value : undefined;
    if (key === "listen" || key === "enrolListen") {
      if (typeof value !== "string") throw wrong(at, `${key} has no text value`, "write host:port");
      config[key] = checkAddress(value, `${file}:${lines.linePos(at ?? 0).line}: ${key}`);
    } else {
      if (typeof value !== "number" || !Number.isInteger(value) || value < 100 || value > 600_000)
        throw wrong(
          at,
          `${key} ${JSON.stringify(value) ?? "without a value"} is out of range`,
          "give whole milliseconds, from 100 to 600000",
        );
      config[key] = value;
    }
  }
  return config as unknown as ControllerConfig;
}
