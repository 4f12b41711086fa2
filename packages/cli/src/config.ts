import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { nearest } from "@slipway/shared";
import type { TlsFiles } from "@slipway/shared/grpc";
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { wrongUse } from "./io.ts";
import { reasonOf } from "./options/run.ts";

/** Where the controller is and who we are. */
export interface CliConfig {
  /** The file that all this was read from, for messages. */
  readonly file: string;
  /** `host:port`, tried in this order. */
  readonly controllers: readonly string[];
  readonly tls: TlsFiles;
}

const KEYS = ["controller", "ca", "certificate", "key"] as const;
const ADDRESS = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:[\]/]+):([1-9]\d{0,4})$/;

/** The file to read: `--config`, else SLIPWAY_CONFIG, else the user's, else the machine's. */
export function configCandidates(flag: string | undefined, env: NodeJS.ProcessEnv): { files: string[]; named: string } {
  if (flag !== undefined) return { files: [flag], named: "--config" };
  if (env["SLIPWAY_CONFIG"]) return { files: [env["SLIPWAY_CONFIG"]], named: "SLIPWAY_CONFIG" };
  const base = env["XDG_CONFIG_HOME"] || join(env["HOME"] || homedir(), ".config");
  return { files: [join(base, "slipway", "cli.yaml"), "/etc/slipway/cli.yaml"], named: "" };
}

export function loadConfig(flag: string | undefined, env: NodeJS.ProcessEnv): CliConfig {
  const { files, named } = configCandidates(flag, env);
  for (const file of files) {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (cause) {
      if (named === "" && (cause as { code?: unknown }).code === "ENOENT") continue;
      throw wrongUse(
        `${named === "" ? "" : `${named}: `}${file} ${reasonOf(cause)}`,
        "name the cli.yaml that `slipway-controller operator NAME` made",
      );
    }
    return parseConfig(file, text);
  }
  throw wrongUse(
    `configuration: neither ${files.join(" nor ")} exists`,
    "point --config or SLIPWAY_CONFIG at the cli.yaml that `slipway-controller operator NAME` made",
  );
}

/** Reads and checks the text of a configuration file and the PEM files it names. Every error is one line with its place. */
export function parseConfig(file: string, text: string): CliConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const lineAt = (offset: number | undefined): number => lines.linePos(offset ?? 0).line;
  const fail = (offset: number | undefined, problem: string, fix: string) =>
    wrongUse(`${file}:${lineAt(offset)}: ${problem}`, fix);

  const broken = document.errors[0];
  if (broken) throw fail(broken.pos[0], `not valid YAML: ${broken.message.split("\n")[0]}`, "correct that line");
  const root = document.contents;
  const example = "write keys such as `controller: 10.0.0.5:7443`";
  if (root === null) throw fail(0, "is empty", example);
  if (!isMap(root)) throw fail(root.range?.[0], "is no list of keys and values", example);

  const strings = new Map<string, { value: string; at: number | undefined }[]>();
  for (const { key: keyNode, value: node } of root.items) {
    const at = isScalar(keyNode) ? keyNode.range?.[0] : undefined;
    const key = isScalar(keyNode) ? String(keyNode.value) : "";
    if (!(KEYS as readonly string[]).includes(key)) {
      const meant = nearest(key, KEYS);
      throw fail(at, `key "${key}" is unknown`, meant ? `did you mean "${meant}"?` : `the keys are ${KEYS.join(", ")}`);
    }
    const nodes = isSeq(node) && key === "controller" ? node.items : [node];
    if (nodes.length === 0) throw fail(at, `${key} is empty`, "give at least one host:port");
    strings.set(
      key,
      nodes.map((item) => {
        const where = isScalar(item) ? item.range?.[0] : at;
        if (!isScalar(item) || typeof item.value !== "string" || item.value === "")
          throw fail(
            where ?? at,
            `${key} has no text value`,
            key === "controller" ? "write host:port" : "write a path",
          );
        return { value: item.value, at: where };
      }),
    );
  }
  for (const key of KEYS)
    if (!strings.has(key))
      throw fail(
        0,
        `key "${key}" is missing`,
        key === "controller" ? "add controller: host:port" : "add the path of a PEM file",
      );

  const controllers = (strings.get("controller") ?? []).map(({ value, at }) => {
    const port = ADDRESS.exec(value)?.[1];
    if (port === undefined || Number(port) > 65_535)
      throw fail(at, `controller "${value}" is no host:port`, "write for example 10.0.0.5:7443 or [2001:db8::5]:7443");
    return value;
  });
  const pem = (key: "ca" | "certificate" | "key"): string => {
    const { value, at } = strings.get(key)?.[0] ?? { value: "", at: 0 };
    const path = resolve(dirname(resolve(file)), value);
    let content: string;
    try {
      content = readFileSync(path, "utf8");
    } catch (cause) {
      throw fail(at, `${key} ${path} ${reasonOf(cause)}`, "paths are relative to this file");
    }
    const kind = key === "key" ? "PRIVATE KEY-----" : "-----BEGIN CERTIFICATE-----";
    if (!content.includes(kind))
      throw fail(
        at,
        `${key} ${path} holds no PEM ${key === "key" ? "private key" : "certificate"}`,
        "check which file it is",
      );
    if (key !== "key") checkCertificate(content, (problem, fix) => fail(at, `${key} ${path} ${problem}`, fix));
    return content;
  };
  return { file, controllers, tls: { ca: pem("ca"), certificate: pem("certificate"), key: pem("key") } };
}

/** A certificate that ran out shows up as a mute connection failure; said here it is one clear line. */
function checkCertificate(content: string, failure: (problem: string, fix: string) => Error): void {
  let parsed: X509Certificate;
  try {
    parsed = new X509Certificate(content);
  } catch {
    throw failure("cannot be read as a certificate", "have it made again");
  }
  if (Date.parse(parsed.validTo) < Date.now())
    throw failure(`ran out on ${parsed.validTo}`, "have a new one made with `slipway-controller operator NAME`");
}
