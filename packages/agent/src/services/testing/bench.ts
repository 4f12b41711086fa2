// A host that is asked and told by services: commands and requests answered by a test, processes in a directory like /proc.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";
import type { Answer } from "../../probes/answer.ts";
import type { JobResult } from "../../steps/ports.ts";
import type { ServiceSpec } from "../../steps/types.ts";
import { serviceJobs } from "../jobs.ts";
import { FileMemory } from "../memory.ts";
import { Proc } from "../processes.ts";
import type { Service } from "../service.ts";

export const ended = (stdout = "", exitCode = 0, stderr = ""): Answer => ({
  stdout,
  stderr,
  exitCode,
  timedOut: false,
  problem: "",
});

export class Bench {
  readonly dir = mkdtempSync(join(tmpdir(), "slipway-services-"));
  readonly proc = new Proc(join(this.dir, "proc"));
  readonly memory = new FileMemory(this.dir);
  /** Everything that was asked, in order. */
  readonly asked: string[] = [];
  /** Units by name; a test changes them in `answer`. */
  readonly units = new Map<string, "active" | "inactive" | "failed">();
  /** What else is asked; undefined leaves it unanswered. */
  answer: (asked: string) => Answer | undefined = () => undefined;
  #count = 0;

  constructor() {
    mkdirSync(join(this.dir, "proc/self/ns"), { recursive: true });
    symlinkSync("pid:[1]", join(this.dir, "proc/self/ns/pid"));
    this.mounts([]);
  }

  close(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  mounts(targets: readonly string[]): void {
    const lines = targets.map(
      (t, i) => `${50 + i} 1 0:${i} / ${t.replaceAll(" ", "\\040")} rw - fuse.glusterfs n1:gv${i} rw`,
    );
    writeFileSync(join(this.dir, "proc/self/mountinfo"), `20 1 8:1 / / rw - ext4 /dev/sda1 rw\n${lines.join("\n")}\n`);
  }

  process(pid: number, argv: readonly string[], cwd = "/", namespace = 1): void {
    const dir = join(this.dir, "proc", String(pid));
    mkdirSync(join(dir, "ns"), { recursive: true });
    mkdirSync(join(dir, "fd"));
    writeFileSync(join(dir, "cmdline"), argv.map((word) => `${word}\0`).join(""));
    writeFileSync(join(dir, "comm"), `${argv[0]?.split("/").at(-1)}\n`);
    symlinkSync(cwd, join(dir, "cwd"));
    symlinkSync(`pid:[${namespace}]`, join(dir, "ns/pid"));
  }

  exit(pid: number): void {
    rmSync(join(this.dir, "proc", String(pid)), { recursive: true, force: true });
  }

  /** Runs one step to its end; `resume` as after a restart of the agent. */
  async step(
    service: Service,
    verb: ServiceSpec["verb"],
    more: Partial<ServiceSpec> & { readonly resume?: boolean } = {},
  ): Promise<JobResult> {
    const jobs = serviceJobs([service], {
      host: "n1",
      announce: () => {},
      memory: this.memory,
      outside: {
        run: async (argv) => this.#reply(argv.join(" ")),
        request: async ({ method, url, body }) => this.#reply([method, url, body ?? ""].join(" ").trim()),
      },
    });
    const { resume = false, ...spec } = more;
    const id = `step ${this.#count++}`;
    const whole = {
      kind: "service",
      verb,
      service: service.kind,
      name: "",
      settings: {},
      timeoutMs: 30_000,
      ...spec,
    } as const;
    if (resume) jobs.resume(id, whole);
    else jobs.start(id, whole);
    for (let turn = 0; turn < 200; turn++) {
      const look = jobs.look(id);
      if (look.state === "ended") {
        jobs.close();
        return look.result;
      }
      await vi.advanceTimersByTimeAsync(250);
    }
    throw new Error("the step does not end");
  }

  #reply(asked: string): Answer {
    this.asked.push(asked);
    const own = this.answer(asked);
    if (own !== undefined) return own;
    const [, verb = "", names = ""] = /^systemctl (show|stop|start)(?: --property=\S+)? -- (.*)$/.exec(asked) ?? [];
    const units = names.split(" ");
    if (verb === "show") return ended(units.map((unit) => this.#show(unit)).join("\n"));
    if (verb === "") return { ...ended(), exitCode: 127, problem: `nothing answers ${asked}` };
    for (const unit of units) this.units.set(unit, verb === "stop" ? "inactive" : "active");
    return ended();
  }

  #show(unit: string): string {
    const state = this.units.get(unit);
    const sub = state === "active" ? "running" : state === "failed" ? "failed" : "dead";
    return `Id=${unit}\nLoadState=${state === undefined ? "not-found" : "loaded"}\nActiveState=${state ?? "inactive"}\nSubState=${sub}\nResult=success\n`;
  }
}
