// `npm run package`: builds the Debian packages into build/packages/.
//   npm run package -- [--version X] [--arch amd64|arm64|all] [--only agent,...] [--out DIR] [--fast]
// --version overrides the version of package.json (to try an upgrade), --fast compresses less (to try anything).
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { node, prepare, root } from "./prepare.mjs";

const { values } = parseArgs({
  options: {
    version: { type: "string" },
    arch: { type: "string", default: "all" },
    only: { type: "string", default: "runtime,agent,controller,cli" },
    out: { type: "string", default: join(root, "build/packages") },
    fast: { type: "boolean", default: false },
  },
});
const version = values.version ?? JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;
if (!/^[0-9][0-9A-Za-z.+~]*$/.test(version))
  fail(`--version: "${version}" is no Debian version; write for example 0.2.0`);

if (!existsSync(node) || !existsSync(join(root, "node_modules/esbuild"))) prepare();
const { architectures, builders } = await import("../packaging/build/contents.mjs");
const { buildDeb } = await import("../packaging/build/deb.mjs");

const names = values.only.split(",");
for (const name of names)
  if (!(name in builders)) fail(`--only: "${name}" is no package; choose of ${Object.keys(builders).join(", ")}`);
const known = Object.keys(architectures);
if (values.arch !== "all" && !known.includes(values.arch))
  fail(`--arch: "${values.arch}" is not known; choose of ${known.join(", ")}, all`);
// npm installs the Node of this machine's architecture only; the other one can be put beside it.
const wanted = known.filter((arch) => values.arch === arch || values.arch === "all");
const present = wanted.filter((arch) => existsSync(join(root, "node_modules", architectures[arch].node)));
if (present.length === 0)
  fail(`node_modules/${architectures[wanted[0]].node} is missing; run npm ci on that architecture`);

const out = resolve(values.out);
mkdirSync(out, { recursive: true });
const scratch = mkdtempSync(join(tmpdir(), "slipway-package-"));
// The programs are asked for their help before there is a runtime beside them.
symlinkSync(join(root, "node_modules"), join(scratch, "node_modules"));
try {
  for (const arch of present) {
    for (const name of names) {
      const tree = join(scratch, `${name}-${arch}`);
      const spec = await builders[name]({ root, node, tree, version, arch });
      const file = join(out, `${spec.name}_${spec.version}_${arch}.deb`);
      buildDeb({ tree, file, spec, fast: values.fast });
      const size = (statSync(file).size / 1024 / 1024).toFixed(1);
      console.log(`${basename(file)}  ${size} MiB`);
      rmSync(tree, { recursive: true });
    }
  }
} catch (error) {
  console.error(`package: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function fail(text) {
  console.error(`package: ${text}`);
  process.exit(1);
}
