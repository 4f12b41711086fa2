import { readFileSync } from "node:fs";
import type { Local } from "./local.ts";
import type { Answer, CallOptions, Virsh } from "./virsh.ts";

/** A recorded answer of libvirt 9.0 with QEMU 7.2 on Debian 12. */
export function fixture(name: string): string {
  return readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8");
}

export type Script = Readonly<Record<string, string | Partial<Answer>>>;

/** Answers commands by their words; what it does not know fails as virsh does. */
export class FakeVirsh implements Virsh {
  readonly uri = "qemu:///system";
  readonly calls: string[] = [];
  script: Script;

  constructor(script: Script) {
    this.script = script;
  }

  async run(args: readonly string[], _options: CallOptions = {}): Promise<Answer> {
    const words = args.join(" ");
    this.calls.push(words);
    const found = this.script[words];
    if (found === undefined) return { state: "failed", stdout: "", text: `no answer to ${words}` };
    if (typeof found === "string") return { state: "ok", stdout: found, text: "" };
    return { state: "failed", stdout: "", text: "", ...found };
  }

  async batch(commands: readonly string[]): Promise<Answer & { readonly sections: readonly string[] }> {
    const answers = [];
    for (const one of commands) answers.push(one === "echo" ? ok : await this.run(one.split(" ")));
    const down = answers.find((one) => one.state !== "ok" && one.state !== "failed");
    if (down !== undefined) return { ...down, sections: [] };
    const text = answers.map((one) => one.text).find((one) => one !== "") ?? "";
    return { state: "ok", stdout: "", text, sections: answers.map((one) => one.stdout) };
  }
}

const ok: Answer = { state: "ok", stdout: "", text: "" };

export const fakeLocal: Local = {
  facts: async () => ({
    memoryMib: 24_000,
    memoryFreeMib: 20_000,
    hugepages: [{ sizeKib: 2048, total: 512, free: 512 }],
    bridges: ["br0"],
    mounts: [{ mountPoint: "/", sharedAs: "" }],
  }),
  startedAtMs: () => 1_700_000_000_000,
};
