// One file per program out of the sources and everything they import. Only better-sqlite3 stays outside: it has a native part.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

/** Some of what is bundled is CommonJS inside and wants `require`, or its own place. */
const BANNER =
  'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url); const { filename: __filename, dirname: __dirname } = import.meta;';

/**
 * Bundles `entry` (a module of the checkout) into `outfile`. With `start`, the bundle calls the module's `main` with argv.
 * Returns the npm packages that are inside.
 */
export async function bundle({ root, entry, outfile, start }) {
  const source = join(root, entry);
  const { metafile } = await build({
    ...(start
      ? {
          stdin: {
            contents: `import { main } from ${JSON.stringify(source)};\nawait main(process.argv);\n`,
            resolveDir: root,
            sourcefile: "start.mjs",
          },
          // The modules must not start themselves as well.
          define: { "import.meta.main": "false" },
        }
      : { entryPoints: [source] }),
    absWorkingDir: root,
    outfile,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    conditions: ["@slipway/source"],
    external: ["better-sqlite3", "*.node", "cpu-features"],
    banner: { js: BANNER },
    legalComments: "none",
    metafile: true,
    logLevel: "error",
  });
  const packages = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const at = input.lastIndexOf("node_modules/");
    if (at < 0) continue;
    const [scope, name] = input.slice(at + "node_modules/".length).split("/");
    packages.add(input.slice(0, at + "node_modules/".length) + (scope.startsWith("@") ? `${scope}/${name}` : scope));
  }
  return [...packages].sort();
}

const APACHE = `Licensed under the Apache License, Version 2.0.
On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0.
`;

/** The copyright file of a package: Slipway's own, and the licences of what is inside, each as its authors ship it. */
export function copyrightOf(root, packages) {
  const parts = packages.map((path) => {
    const dir = join(root, path);
    const { name, version, license, author } = JSON.parse(readFileSync(join(dir, "package.json"), "utf8"));
    const file = existsSync(dir) && readdirSync(dir).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
    const own = file ? readFileSync(join(dir, file), "utf8") : "";
    const by = typeof author === "string" ? author : (author?.name ?? "its authors");
    const body =
      /Apache License/.test(own) || (!own && /Apache/.test(license)) ? APACHE : own.trim() || `License: ${license}`;
    return `${name} ${version}\nCopyright: ${by}\n\n${body.trim()}\n`;
  });
  return `Slipway\nCopyright: the Slipway authors\n\n${APACHE}${parts.map((part) => `\n---\n\n${part}`).join("")}`;
}
