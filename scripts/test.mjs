// `npm test`: every tier that this machine allows. Arguments go to vitest, for example `npm test -- --project unit`.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { env, node, prepare, root, run } from "./prepare.mjs";

prepare();
const extra = process.argv.slice(2);
if (extra.length === 0) {
  console.log("Linting ...");
  run("biome", join(root, "node_modules/.bin/biome"), ["check", "."]);
  const buf = join(root, "node_modules/.bin/buf");
  run("buf lint", buf, ["lint"]);
  const fresh = mkdtempSync(join(tmpdir(), "slipway-gen-"));
  run("buf generate", buf, ["generate", "-o", fresh]);
  const gen = "packages/shared/src/gen";
  run("comparing generated code (npm run generate makes it anew)", "diff", ["-r", join(fresh, gen), join(root, gen)]);
  rmSync(fresh, { recursive: true, force: true });
}

const scratch = mkdtempSync(join(tmpdir(), "slipway-test-"));
const json = join(scratch, "results.json");
// Tests make their temporary files in here, so that a killed run leaves one place to clean, and this removes it.
const vitest = spawnSync(
  node,
  [
    join(root, "node_modules/vitest/vitest.mjs"),
    "run",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${json}`,
    ...extra,
  ],
  { cwd: root, stdio: "inherit", env: { ...env, TMPDIR: scratch } },
);

let line;
let ok = vitest.status === 0;
try {
  const r = JSON.parse(readFileSync(json, "utf8"));
  // A file that could not even be loaded has no tests to count, but it has failed.
  const broken = r.testResults.filter((f) => f.status === "failed" && f.assertionResults.length === 0).length;
  const failed = r.numFailedTests + broken;
  ok &&= failed === 0 && r.numPassedTests > 0;
  // Not numPendingTests: it leaves out a suite with a condition of its own inside one that is skipped.
  let notRun = 0;
  for (const file of r.testResults) {
    const skipped = file.assertionResults.filter((t) => t.status !== "passed" && t.status !== "failed");
    notRun += skipped.length;
    if (extra.length > 0 || skipped.length === 0) continue;
    const wants = [...new Set(skipped.map((t) => t.ancestorTitles[0] || t.title))].join("; ");
    console.log(`Not run on this machine: ${skipped.length} in ${relative(root, file.name)} (${wants})`);
  }
  line = `${r.numPassedTests} passed, ${failed} failed, ${notRun} skipped`;
} catch {
  ok = false;
  line = "0 passed, 1 failed, 0 skipped";
}
rmSync(scratch, { recursive: true, force: true });
if (process.env.SLIPWAY_COUNTS) writeFileSync(process.env.SLIPWAY_COUNTS, line);
console.log(line);
process.exit(ok ? 0 : 1);
