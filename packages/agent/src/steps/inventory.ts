import type { Inventory } from "@slipway/shared";
import type { Ports } from "./ports.ts";

/** What a host without a platform has to tell. */
const nothing: Inventory = { seq: 0, platform: "none", problem: "", instances: [], cordonedBy: "" };

/**
 * The inventory as the controller is told it: the platform's reading, with what the journal knows. Level-triggered: `due` is
 * asked often and answers when there is something that this listener has not heard.
 */
export class Inventories {
  readonly #ports: Pick<Ports, "journal" | "platform" | "machine">;
  /** The platform's reading that `#current` was made of; looked into only when it is another one. */
  #reading: Inventory | undefined;
  #isJournalNewer = true;
  #current: Inventory | undefined;
  #text = "";
  #sentSeq = 0;

  constructor(ports: Pick<Ports, "journal" | "platform" | "machine">) {
    this.#ports = ports;
  }

  /** Of the one that this listener was told last; 0 before the first. */
  get sentSeq(): number {
    return this.#sentSeq;
  }

  /** How long ago the platform was read, in milliseconds. */
  ageMs(): number {
    const { platform, machine } = this.#ports;
    return platform === undefined ? 0 : Math.max(0, machine.monotonicMs() - platform.readAtMs());
  }

  /** Somebody new listens. */
  opened(): void {
    this.#sentSeq = 0;
  }

  /** The cordon mark or a generation has changed. */
  journalled(): void {
    this.#isJournalNewer = true;
  }

  due(): Inventory | undefined {
    this.#update();
    if (this.#current === undefined || this.#current.seq === this.#sentSeq) return undefined;
    this.#sentSeq = this.#current.seq;
    return this.#current;
  }

  #update(): void {
    const { journal, platform } = this.#ports;
    const reading = platform === undefined ? nothing : platform.inventory();
    if (reading === undefined || (reading === this.#reading && !this.#isJournalNewer)) return;
    const seq = this.#current?.seq ?? 0;
    const whole: Inventory = {
      ...reading,
      seq,
      cordonedBy: journal.cordon()?.holder ?? "",
      instances: reading.instances.map((one) => ({ ...one, generation: journal.generation(one.uuid) })),
    };
    this.#reading = reading;
    this.#isJournalNewer = false;
    const text = JSON.stringify({ ...whole, seq: 0 }, (_key, part: unknown) =>
      typeof part === "bigint" ? String(part) : part,
    );
    if (text === this.#text) return;
    this.#text = text;
    this.#current = { ...whole, seq: seq + 1 };
  }
}
