import { readFileSync } from "node:fs";

interface PackageJson {
  readonly version: string;
}

/** Version of this controller, as agents and operators are told it. */
export const VERSION = (JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as PackageJson)
  .version;
