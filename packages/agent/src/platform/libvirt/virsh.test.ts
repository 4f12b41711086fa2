import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { errorText, RealVirsh } from "./virsh.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-virsh-test-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A virsh of this body; `$3` is the first word behind -c and -q. */
function virsh(body: string): RealVirsh {
  const program = join(dir, "virsh");
  writeFileSync(program, `#!/bin/sh\n${body}\n`);
  chmodSync(program, 0o755);
  return new RealVirsh("qemu:///system", program);
}

describe("a command", () => {
  test("gets its words as they are, plain words back, and what it reads", async () => {
    const one = virsh(`printf '%s|' "$@"; echo "$LC_ALL"; cat /dev/stdin`);
    expect(await one.run(["dumpxml", "a; rm -rf /", "$(id)"], { input: "<cpu/>" })).toEqual({
      state: "ok",
      stdout: "-c|qemu:///system|-q|dumpxml|a; rm -rf /|$(id)|C\n<cpu/>",
      text: "",
    });
  });
  test("that fails says why in one line", async () => {
    const one = virsh("echo 'error: failed to get domain\nerror: Domain not found' >&2; exit 1");
    expect(await one.run(["x"])).toMatchObject({ state: "failed", text: "failed to get domain; Domain not found" });
    expect(errorText("")).toBe("");
  });
  test("that does not end, says too much, is stopped or is not there has an end", async () => {
    expect(await virsh("exec sleep 60").run(["x"], { timeoutMs: 50 })).toMatchObject({
      state: "timed-out",
      stdout: "",
    });
    expect(await virsh("exec yes").run(["x"], { maxBytes: 1_000 })).toMatchObject({ state: "too-much", stdout: "" });
    const stopped = AbortSignal.abort();
    expect(await virsh("exec sleep 60").run(["x"], { signal: stopped })).toMatchObject({ state: "stopped" });
    expect(await new RealVirsh("x", join(dir, "none")).run(["x"])).toMatchObject({ state: "missing" });
  });
});

describe("a batch", () => {
  // As virsh does it: commands one by one, whatever becomes of each.
  const batch = `printf '%s\\n' "$4" | sed 's/; /\\n/g' | while read -r verb rest; do
    echo "$verb" >> ${"$"}(dirname "$0")/calls
    case $verb in echo) printf '%s' "$rest";; fails) echo "error: no" >&2;; *) echo "$verb said $rest";; esac; done`;
  test("is one call, and tells what belongs to what", async () => {
    const one = virsh(batch);
    const answer = await one.batch(["list --all", "fails", "info a-b"]);
    expect(answer).toMatchObject({ state: "ok", text: "no", sections: ["list said --all\n", "", "info said a-b\n"] });
    expect(readFileSync(join(dir, "calls"), "utf8").match(/echo/g)?.length).toBe(3);
    expect((await one.batch([])).sections).toEqual([]);
  });
  test("that was cut off is no answer", async () => {
    expect(await virsh("echo list said").batch(["list"])).toMatchObject({ state: "failed", sections: [] });
  });
  test("takes nothing that could be another command", async () => {
    const one = virsh(batch);
    for (const words of ["dumpxml a; undefine b", "dumpxml 'a b'", "dumpxml a\nb", "dumpxml $x"])
      await expect(one.batch([words])).rejects.toThrow(/no plain virsh command/);
  });
});
