// From a directory tree to a .deb: control file, checksums, fixed times, dpkg-deb.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { lstatSync, lutimesSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

const MAINTAINER = "Slipway maintainers <maintainers@slipway.example>";

/** Time of everything in the packages, in seconds: the same sources give the same packages, byte for byte. */
export function sourceEpoch() {
  if (process.env.SOURCE_DATE_EPOCH) return Number(process.env.SOURCE_DATE_EPOCH);
  const { stdout } = spawnSync("git", ["log", "-1", "--format=%ct"], { cwd: import.meta.dirname, encoding: "utf8" });
  return Number(stdout?.trim() || 1_767_225_600);
}

/** Everything below a directory, with the directory itself, in a fixed order. */
function walk(dir) {
  const found = [dir];
  for (const entry of readdirSync(dir, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) found.push(...walk(path));
    else found.push(path);
  }
  return found;
}

/**
 * `spec` is name, version, arch, depends, recommends, description (first line the summary), scripts (texts by name) and
 * triggers. `tree` holds the files of the package with their modes.
 */
export function buildDeb({ tree, file, spec, fast }) {
  const epoch = sourceEpoch();
  const files = walk(tree).filter((path) => lstatSync(path).isFile());
  const control = join(tree, "DEBIAN");
  mkdirSync(control, { mode: 0o755 });
  const kib = files.reduce((sum, path) => sum + Math.ceil(lstatSync(path).size / 1024), 0);
  const field = (name, value) => (value ? `${name}: ${value}\n` : "");
  writeFileSync(
    join(control, "control"),
    field("Package", spec.name) +
      field("Version", spec.version) +
      field("Architecture", spec.arch) +
      field("Maintainer", MAINTAINER) +
      field("Installed-Size", String(kib)) +
      field("Depends", spec.depends?.join(", ")) +
      field("Recommends", spec.recommends?.join(", ")) +
      field("Suggests", spec.suggests?.join(", ")) +
      field("Section", "admin") +
      field("Priority", "optional") +
      field("Description", spec.description.join("\n ")),
  );
  const sums = files.map((path) => `${md5(path)}  ${relative(tree, path)}\n`);
  writeFileSync(join(control, "md5sums"), sums.join(""));
  if (spec.triggers) writeFileSync(join(control, "triggers"), spec.triggers);
  for (const [name, text] of Object.entries(spec.scripts ?? {})) {
    writeFileSync(join(control, name), text, { mode: 0o755 });
  }
  for (const path of walk(tree)) lutimesSync(path, epoch, epoch);
  const { status, stderr } = spawnSync(
    "dpkg-deb",
    ["--root-owner-group", ...(fast ? ["-Zgzip", "-z1"] : ["-Zxz"]), "--build", tree, file],
    { encoding: "utf8", env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) } },
  );
  if (status !== 0) throw new Error(`dpkg-deb: ${stderr?.trim() || "it is not installed"}`);
}

function md5(path) {
  return createHash("md5").update(readFileSync(path)).digest("hex");
}
