import { spawnSync } from "node:child_process";
import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const NOBODY = 65_534;
let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-owner-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** In a process of its own: giving up root cannot be taken back. */
function idsOnceActingFor(target: string): string {
  const module = JSON.stringify(new URL("owner.ts", import.meta.url).href);
  const script = `import { actAsOwner } from ${module};
    actAsOwner(process.argv[1]);
    process.stdout.write([process.getuid(), process.getgid(), ...process.getgroups()].join(" "));`;
  const args = ["--input-type=module", "-e", script, target];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 20_000 });
  return stdout || stderr;
}

test.skipIf(process.getuid?.() !== 0)("root goes on as the owner of the directory", () => {
  chownSync(dir, NOBODY, NOBODY);
  expect(idsOnceActingFor(dir)).toBe(`${NOBODY} ${NOBODY} ${NOBODY}`);
});

test("a directory of one's own, or none, changes nothing", () => {
  const self = [process.getuid?.(), process.getgid?.()].join(" ");
  for (const target of [dir, join(dir, "missing")]) expect(idsOnceActingFor(target)).toMatch(new RegExp(`^${self}\\b`));
});
