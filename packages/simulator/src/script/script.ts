import type { LogLine, World } from "../world.ts";
import { act, type Stage } from "./actions.ts";
import { duration } from "./words.ts";

export interface ScriptEntry {
  /** When, from the beginning; or the text of a log line, or what is true of one, that sets it off, once. */
  readonly at?: string;
  readonly when?: string | ((line: LogLine) => boolean);
  /** How long after that line; at once when absent. */
  readonly after?: string;
  /** Which occurrence of the line; the first when absent. */
  readonly time?: number;
  readonly do: string | readonly string[];
  /** How the log tells of it; default: its sentences. */
  readonly called?: string;
}

/** Doings of operators, whom the log has tell of them. */
const OPERATORS =
  /^(start( |$)|pause|resume|approve|abort|retry|skip|mark-done|override|look$|cordon \S+$|uncordon \S+$)/;
/** What kills does so in the very moment; an operator takes at least a moment to notice. */
const SUDDEN = /^(kill|power cut|reboot|partition|reset|stop agent)/;

/** Sentences that are acted on a stage at their times, or when the log says something. */
export class Script {
  readonly #stage: Stage;
  readonly #entries: readonly ScriptEntry[];
  readonly #triggers: { readonly entry: ScriptEntry; left: number }[];
  #waiting = 0;

  constructor(stage: Stage, entries: readonly ScriptEntry[]) {
    this.#stage = stage;
    this.#entries = entries;
    this.#triggers = entries.filter((e) => e.when !== undefined).map((entry) => ({ entry, left: entry.time ?? 1 }));
  }

  /** What has a time of its own; what is due at once is done before the world is switched on. */
  begin(switchOn: () => void): void {
    for (const entry of this.#entries) if (entry.at === "0s") this.#perform(entry);
    switchOn();
    for (const entry of this.#entries) if (entry.at !== undefined && entry.at !== "0s") this.#later(entry, entry.at);
  }

  seen(line: LogLine): void {
    const text = `${line.subject}: ${line.text}`;
    const isIt = (when: ScriptEntry["when"]) => (typeof when === "function" ? when(line) : text.includes(when ?? ""));
    for (const trigger of this.#triggers)
      if (trigger.left > 0 && isIt(trigger.entry.when) && --trigger.left === 0) this.#fire(trigger.entry);
  }

  /** Is something still to come that only waits for its time? */
  get isWaiting(): boolean {
    return this.#waiting > 0;
  }

  /** What never happened, because no line of the log set it off. */
  unmet(): ScriptEntry[] {
    return this.#triggers.filter((t) => t.left > 0).map((t) => t.entry);
  }

  #fire(entry: ScriptEntry): void {
    const sudden = [entry.do].flat().every((s) => SUDDEN.test(s));
    if (entry.after === undefined && sudden) this.#perform(entry);
    else this.#later(entry, entry.after ?? "0s");
  }

  #later(entry: ScriptEntry, text: string): void {
    this.#waiting++;
    this.#stage.world.after(duration(text), () => {
      this.#waiting--;
      this.#perform(entry);
    });
  }

  #perform({ do: sentences, called }: ScriptEntry): void {
    if (called !== undefined) this.#stage.world.note("script", "fault", called);
    for (const sentence of [sentences].flat()) {
      if (called === undefined && !OPERATORS.test(sentence)) this.#stage.world.note("script", "world", sentence);
      act(this.#stage, sentence);
    }
  }
}

/** Are all runs over, and is nothing under way any more that has to do with them? */
export function isAtRest(world: World): boolean {
  return (
    [...world.disk.runs.values()].every((r) => r.state === "ended") &&
    [...world.hosts.values()].every(
      (h) =>
        h.executor.running().length === 0 &&
        (!h.up || h.undelivered().length === 0) &&
        (h.process === undefined || h.mark() === world.cordonersOf(h.name)),
    )
  );
}
