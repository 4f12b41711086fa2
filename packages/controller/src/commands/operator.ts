import { chmodSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { NAME_PATTERN, SlipwayError } from "@slipway/shared";
import { writeFileDurably } from "@slipway/shared/node";
import { issueWithNewKey } from "@slipway/shared/tls";
import { stringify } from "yaml";
import { checkAddress, filesOf, readConfig } from "../config.ts";

export interface OperatorOptions {
  readonly dir: string;
  readonly name: string;
  readonly role: string;
  /** Directory that gets the certificate and cli.yaml. */
  readonly out: string;
  /** `host:port` of the controller as the operator's machine sees it. Default: this machine's name and the port of `listen`. */
  readonly address?: string;
}

/** Makes an operator's (or viewer's) certificate and the configuration of the CLI; returns the path of that. */
export async function makeOperator(options: OperatorOptions): Promise<string> {
  const { dir, name, role, out } = options;
  if (!NAME_PATTERN.test(name))
    throw new SlipwayError("bad-input", `name ${JSON.stringify(name)}: not a name for a certificate`, {
      fix: "use letters, digits, dots and hyphens, at most 64",
    });
  if (role !== "operator" && role !== "viewer")
    throw new SlipwayError("bad-input", `--role: ${JSON.stringify(role)} is not known`, {
      fix: "choose operator or viewer",
    });
  const config = readConfig(dir);
  const files = filesOf(dir);
  if (!existsSync(files.ca) || !existsSync(files.caKey))
    throw new SlipwayError("bad-input", `${dir}: its authority is missing`, {
      fix: `make it with slipway-controller init --dir ${dir}`,
    });
  const address = checkAddress(options.address ?? reachable(config.listen), "--address");
  const authority = { ca: readFileSync(files.ca, "utf8"), caKey: readFileSync(files.caKey, "utf8") };
  const { key, certificate } = await issueWithNewKey(authority, { identity: { role, name } });
  if (!existsSync(out)) {
    mkdirSync(out, { recursive: true, mode: 0o700 });
    chmodSync(out, 0o700);
  }
  writeFileDurably(join(out, "ca.pem"), authority.ca, 0o644);
  writeFileDurably(join(out, `${name}.pem`), certificate, 0o644);
  writeFileDurably(join(out, `${name}.key`), key, 0o600);
  const file = join(out, "cli.yaml");
  const content = { controller: address, ca: "ca.pem", certificate: `${name}.pem`, key: `${name}.key` };
  writeFileDurably(file, stringify(content), 0o644);
  return file;
}

/** What to dial for an address that is listened on: one that listens everywhere is none. */
function reachable(listen: string): string {
  const at = listen.lastIndexOf(":");
  if (listen.endsWith(":0"))
    throw new SlipwayError("bad-input", `listen ${listen}: the controller takes any free port`, {
      fix: "give --address, or a fixed port in controller.yaml",
    });
  const everywhere = ["0.0.0.0", "[::]", "*"].includes(listen.slice(0, at));
  return everywhere ? `${hostname()}${listen.slice(at)}` : listen;
}
