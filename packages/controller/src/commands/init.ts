import { chmodSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { SlipwayError } from "@slipway/shared";
import { writeFileDurably } from "@slipway/shared/node";
import { type Authority, createAuthority, issueWithNewKey } from "@slipway/shared/tls";
import { stringify } from "yaml";
import { checkAddress, defaultConfig, filesOf, readConfig } from "../config.ts";

export interface InitOptions {
  readonly dir: string;
  readonly listen?: string;
  readonly enrolListen?: string;
  /** Name of the authority, for people. Default "Slipway CA". */
  readonly name?: string;
}

/**
 * Makes a controller's directory: authority, server certificate, configuration. What is there is kept, so it may be
 * repeated; returns the names of what was made.
 */
export async function init(options: InitOptions): Promise<string[]> {
  const files = filesOf(options.dir);
  const listen = checkAddress(options.listen ?? defaultConfig.listen, "--listen");
  const enrolListen = checkAddress(options.enrolListen ?? defaultConfig.enrolListen, "--enrol-listen");
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  chmodSync(options.dir, 0o700);
  const made: string[] = [];
  const write = (file: string, content: string, mode = 0o600) => {
    writeFileDurably(file, content, mode);
    made.push(file);
  };
  if (existsSync(files.ca) && !existsSync(files.caKey))
    throw new SlipwayError("refused", `${files.caKey} is missing, but ${files.ca} is there`, {
      fix: "put the key back from a backup; a new authority would shut out every host and operator",
    });
  if (!existsSync(files.ca)) {
    // The key first: a certificate without its key could not be told from a lost key.
    const authority = existsSync(files.caKey) ? undefined : await createAuthority(options.name ?? "Slipway CA");
    if (!authority)
      throw new SlipwayError("refused", `${files.ca} is missing, but ${files.caKey} is there`, {
        fix: `put it back from a backup, or remove ${files.caKey} for a new authority`,
      });
    write(files.caKey, authority.caKey);
    write(files.ca, authority.ca, 0o644);
  }
  if (!existsSync(files.certificate) || !existsSync(files.key)) {
    const authority: Authority = { ca: readFileSync(files.ca, "utf8"), caKey: readFileSync(files.caKey, "utf8") };
    const { key, certificate } = await issueWithNewKey(authority, {
      identity: { role: "controller", name: "controller" },
      dnsNames: [...new Set(["controller.slipway.internal", "localhost", hostname()])],
    });
    write(files.key, key);
    // With the authority behind it: that is how a host that has but a token recognises the right controller.
    write(files.certificate, `${certificate}${authority.ca}`, 0o644);
  }
  if (!existsSync(files.config)) write(files.config, stringify({ listen, enrolListen }), 0o644);
  else {
    const config = readConfig(options.dir);
    if (
      (options.listen !== undefined && options.listen !== config.listen) ||
      (options.enrolListen !== undefined && options.enrolListen !== config.enrolListen)
    )
      throw new SlipwayError("refused", `${files.config}: it is there and names other addresses; it was left alone`, {
        fix: "edit it, or use the flags of slipway-controller run",
      });
  }
  return made;
}
