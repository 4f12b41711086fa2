import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { buildProgram } from "../program.ts";
import { FakeIo } from "../testing/fakeOperator.ts";
import { bashScript, zshScript } from "./scripts.ts";
import { completionTree } from "./tree.ts";

const nodes = completionTree(buildProgram(new FakeIo(), async () => {}));
const dir = mkdtempSync(join(tmpdir(), "slipway-completion-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

// Stands in for the command that the script asks for names.
writeFileSync(
  join(dir, "slipway"),
  '#!/bin/sh\n[ "$1" = --config ] && echo "from-$2" && shift 2\n[ "$2" = hosts ] && printf "hv1\\nhv10\\nxen\\n" || echo "$2-1"\n',
);
chmodSync(join(dir, "slipway"), 0o755);
writeFileSync(join(dir, "bash"), bashScript(nodes));

/** What bash offers when Tab is pressed after these words; the last is the one under the cursor. */
function complete(...words: string[]): string[] {
  const script = `. "${dir}/bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _slipway; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const env = { ...process.env, PATH: `${dir}:${process.env["PATH"]}` };
  return execFileSync("bash", ["-c", script, "bash", "slipway", ...words], { env, encoding: "utf8" })
    .split("\n")
    .filter(Boolean);
}

describe("bash", () => {
  test.each([
    [["st"], ["start"]],
    [
      ["run", "re"],
      ["resume", "retry"],
    ],
    [
      ["host", ""],
      ["list", "show", "ping", "why", "add", "remove"],
    ],
    [["start", "--on-f"], ["--on-failure"]],
    [
      ["start", "--on-failure", ""],
      ["cordoned", "uncordon"],
    ],
    [
      ["start", "--hosts", "hv"],
      ["hv1", "hv10"],
    ],
    [
      ["start", "--hosts", "xen,hv"],
      ["xen,hv1", "xen,hv10"],
    ],
    [["start", "--cluster", ""], ["clusters-1"]],
    [["why", "x"], ["xen"]],
    [["watch", ""], ["runs-1"]],
    [["drain", "hv1", "x"], ["xen"]],
    [["instance", "show", ""], ["instances-1"]],
    [["instance", "move", "web", "--to", "x"], ["xen"]],
    [["start", "--consent-stop", ""], ["instances-1"]],
    [
      ["start", "--return", ""],
      ["none", "preferred", "exact"],
    ],
    [["run", "skip", "r1", "x"], ["xen"]],
    [["--json", "run", "skip", "--reason", "run", "r1", "x"], ["xen"]],
    [
      ["--config", "abc", "watch", ""],
      ["from-abc", "runs-1"],
    ],
    [["report", "--format", "j"], ["json"]],
    [["dev", "--hosts", ""], []],
    [
      ["completion", ""],
      ["bash", "zsh"],
    ],
  ])("%j offers %j", (words, expected) => {
    expect(complete(...words)).toEqual(expected);
  });
});

test("hidden commands are not offered", () => {
  expect(bashScript(nodes)).not.toMatch(/offer='[^']*__complete/);
});

test("zsh reads its script", () => {
  try {
    execFileSync("zsh", ["--version"], { stdio: "ignore" });
  } catch {
    // Without zsh at least its tables, which both shells share, are there.
    expect(zshScript(nodes)).toContain("#compdef slipway");
    return;
  }
  writeFileSync(join(dir, "zsh"), zshScript(nodes));
  execFileSync("zsh", ["-n", join(dir, "zsh")]);
});
