import type { HostCapacity } from "@slipway/shared";
import { parseBaseline, parseCapabilities, parseDomainCapabilities } from "./host-xml.ts";
import type { Virsh } from "./virsh.ts";
import { parseVersion } from "./words.ts";

/** What cannot be read, in words for the inventory's `problem`. */
export class Unreadable extends Error {}

export type EmulatorFacts = Pick<
  HostCapacity,
  | "cpus"
  | "cpuArch"
  | "cpuModel"
  | "cpuVendor"
  | "numa"
  | "machineTypes"
  | "virtTypes"
  | "cpuModels"
  | "cpuFeatures"
  | "version"
>;

/** It changes with its packages and the hardware only, and costs libvirtd more than all guests together. */
const GOOD_FOR_MS = 600_000;

/** What the host's processors and its emulator are. */
export class Emulator {
  readonly #virsh: Virsh;
  #last: { readonly atMs: number; readonly facts: EmulatorFacts } | undefined;

  constructor(virsh: Virsh) {
    this.#virsh = virsh;
  }

  /** Throws Unreadable. */
  async facts(): Promise<EmulatorFacts> {
    if (this.#last !== undefined && performance.now() - this.#last.atMs < GOOD_FOR_MS) return this.#last.facts;
    const [capabilities, version] = await Promise.all([this.#ask(["capabilities"]), this.#ask(["version"])]);
    const { memoryMib: _, ...host } = attempt("capabilities", () => parseCapabilities(capabilities));
    const models = await this.#models(host.virtTypes.includes("kvm") ? "kvm" : (host.virtTypes[0] ?? "qemu"));
    const facts = { ...host, ...models, version: parseVersion(version) };
    this.#last = { atMs: performance.now(), facts };
    return facts;
  }

  /** libvirt was away: it may have come back as another version. */
  forget(): void {
    this.#last = undefined;
  }

  async #models(virtType: string): Promise<Pick<HostCapacity, "cpuModels" | "cpuFeatures">> {
    const type = ["--virttype", virtType];
    const input = await this.#ask(["domcapabilities", ...type]);
    const { models, features } = attempt("domcapabilities", () => parseDomainCapabilities(input));
    // Every feature by name, those of the model included; where libvirt cannot tell, what goes beyond the model is what is known.
    const words = ["hypervisor-cpu-baseline", "--features", ...type, "/dev/stdin"];
    const { state, stdout } = await this.#virsh.run(words, { input });
    const all = state === "ok" ? tried(() => parseBaseline(stdout)) : undefined;
    return { cpuModels: [...models], cpuFeatures: all ?? [...features] };
  }

  async #ask(words: readonly string[]): Promise<string> {
    const { state, stdout, text } = await this.#virsh.run(words);
    if (state !== "ok") throw new Unreadable(`libvirt: ${words[0]}: ${text}`);
    return stdout;
  }
}

export function tried<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

function attempt<T>(what: string, make: () => T): T {
  try {
    return make();
  } catch (thrown) {
    throw new Unreadable(`libvirt: ${what}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}
