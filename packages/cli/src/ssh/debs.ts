import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SlipwayError } from "@slipway/shared";
import { wrongUse } from "../io.ts";
import { reasonOf } from "../options/run.ts";

/** A Debian package file, as its name says. */
export interface Deb {
  readonly file: string;
  readonly name: string;
  readonly version: string;
  readonly arch: string;
}

export const AGENT_PACKAGE = "slipway-agent";
export const RUNTIME_PACKAGE = "slipway-runtime";

/** `slipway-agent_0.1.0_amd64.deb`. */
export function parseDebName(file: string): Deb | undefined {
  const match = /^([a-z0-9][a-z0-9+.-]+)_([0-9][A-Za-z0-9.+~-]*)_([a-z0-9]+)\.deb$/.exec(basename(file));
  if (!match?.[1] || !match[2] || !match[3]) return undefined;
  return { file, name: match[1], version: match[2], arch: match[3] };
}

/** Directories that are looked into without --package: of the checkout that this program lies in, and of the machine. */
export function packageDirs(): string[] {
  const checkout = join(dirname(fileURLToPath(import.meta.url)), "../../../../build/packages");
  return [checkout, "/usr/share/slipway/packages"];
}

/**
 * The agent's package and its runtime's, for an architecture. `named` are the files of --package; what they do not name is
 * looked for beside them. Errors: `bad-input`, `not-found`.
 */
export function chooseDebs(
  arch: string,
  named: readonly string[],
  dirs: readonly string[],
): { agent: Deb; runtime?: Deb } {
  const given = named.map((file) => {
    const deb = parseDebName(file);
    try {
      if (!statSync(file).isFile()) throw wrongUse(`--package: ${file} is no file`);
    } catch (cause) {
      if (cause instanceof SlipwayError) throw cause;
      throw wrongUse(`--package: ${file} ${reasonOf(cause)}`, "name a .deb file");
    }
    if (deb === undefined || ![AGENT_PACKAGE, RUNTIME_PACKAGE].includes(deb.name))
      throw wrongUse(
        `--package: ${basename(file)} is not named like a package of the agent`,
        `it looks like ${AGENT_PACKAGE}_VERSION_ARCH.deb or ${RUNTIME_PACKAGE}_VERSION_ARCH.deb`,
      );
    return deb;
  });
  const wrong = given.find((deb) => deb.arch !== arch && deb.arch !== "all");
  if (wrong) throw wrongUse(`--package: ${basename(wrong.file)} is for ${wrong.arch}, the host is ${arch}`);
  const places = given.length > 0 ? [...new Set(given.map(({ file }) => dirname(file)))] : dirs;
  const found = [...given, ...places.flatMap(debsIn)].filter((deb) => deb.arch === arch || deb.arch === "all");
  const choose = (name: string) =>
    given.find((deb) => deb.name === name) ?? newest(found.filter((deb) => deb.name === name));
  const agent = choose(AGENT_PACKAGE);
  if (agent === undefined)
    throw new SlipwayError("not-found", `no ${AGENT_PACKAGE} package for ${arch} in ${places.join(" or ")}`, {
      fix: "make it with `npm run package`, or name it with --package FILE",
    });
  const runtime = choose(RUNTIME_PACKAGE);
  return { agent, ...(runtime === undefined ? {} : { runtime }) };
}

function debsIn(dir: string): Deb[] {
  try {
    return readdirSync(dir).flatMap((name) => parseDebName(join(dir, name)) ?? []);
  } catch {
    return [];
  }
}

function newest(debs: readonly Deb[]): Deb | undefined {
  return [...debs].sort((a, b) => compareVersions(b.version, a.version))[0];
}

/** Debian's order of versions (deb-version(7)), without epochs, which file names do not carry. */
export function compareVersions(a: string, b: string): number {
  // Text and numbers take turns, text first.
  const partsOf = (text: string) =>
    /^\d/.test(text) ? ["", ...(text.match(/\d+|\D+/g) ?? [])] : text.match(/\d+|\D+/g);
  const [as, bs] = [partsOf(a) ?? [], partsOf(b) ?? []];
  for (let i = 0; i < Math.max(as.length, bs.length); i++) {
    const [x = "", y = ""] = [as[i], bs[i]];
    const order = i % 2 === 0 ? compareText(x, y) : Number(x) - Number(y);
    if (order !== 0) return Math.sign(order);
  }
  return 0;
}

/** `~` before the end, the end before letters, letters before all else. */
function compareText(a: string, b: string): number {
  const weight = (c: string | undefined) =>
    c === undefined ? 0 : c === "~" ? -1 : /[A-Za-z]/.test(c) ? c.charCodeAt(0) : c.charCodeAt(0) + 256;
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const order = weight(a[i]) - weight(b[i]);
    if (order !== 0) return order;
  }
  return 0;
}
