import { isAbsolute, normalize } from "node:path";
import { nearest } from "@slipway/shared";
import { fail } from "./answer.ts";

/** Programs take these values as arguments: none may look like an option or hold what belongs on no command line. */
const VALUE = /^[^-\p{C}][^\p{C}]{0,1023}$/u;

/**
 * Reads the settings of one probe or service as the pool file gives them. `{host}` stands for this host's name. A setting that
 * nobody asked for is a mistake in the pool file, not something to pass over: call `end` once all have been read.
 */
export class SettingsReader {
  readonly #values: Readonly<Record<string, string>>;
  readonly #host: string;
  readonly #known = new Set<string>();

  constructor(values: Readonly<Record<string, string>>, host: string) {
    this.#values = values;
    this.#host = host;
  }

  optional(name: string): string | undefined {
    this.#known.add(name);
    if (!Object.hasOwn(this.#values, name)) return undefined;
    const value = (this.#values[name] ?? "").replaceAll("{host}", this.#host);
    return VALUE.test(value)
      ? value
      : fail(`setting ${name} is ${JSON.stringify(value)}; give plain text that does not begin with "-"`);
  }

  text(name: string, otherwise?: string): string {
    return this.optional(name) ?? otherwise ?? fail(`setting ${name} is missing`);
  }

  /** Comma-separated. */
  list(name: string): readonly string[] {
    const value = this.optional(name);
    return value === undefined ? [] : value.split(",").map((one) => one.trim());
  }

  /** An absolute path. */
  path(name: string): string | undefined {
    const value = this.optional(name);
    if (value === undefined || (isAbsolute(value) && normalize(value) === value)) return value;
    return fail(`setting ${name} is ${value}; give an absolute path without .. in it`);
  }

  count(name: string, otherwise: number): number {
    const value = this.optional(name);
    if (value === undefined) return otherwise;
    return /^\d{1,9}$/.test(value) ? Number(value) : fail(`setting ${name} is ${value}; give a whole number`);
  }

  choice<Choice extends string>(name: string, choices: readonly Choice[], otherwise: Choice): Choice {
    const value = this.optional(name);
    if (value === undefined) return otherwise;
    const found = choices.find((one) => one === value);
    return found ?? fail(`setting ${name} is ${value}; give one of ${choices.join(", ")}`);
  }

  /** http or https, without a user in it: that would be a secret in the evidence. */
  url(name: string, otherwise: string): string {
    const value = this.text(name, otherwise);
    const url = URL.canParse(value) ? new URL(value) : undefined;
    if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "")
      return fail(`setting ${name} is ${value}; give http://HOST:PORT or https://HOST:PORT`);
    return value.replace(/\/+$/, "");
  }

  /** Names of those that nobody has asked for yet. */
  others(): readonly string[] {
    return Object.keys(this.#values).filter((name) => !this.#known.has(name));
  }

  end(): void {
    for (const name of this.others()) {
      const guess = nearest(name, [...this.#known]);
      const known = [...this.#known].join(", ") || "it takes none";
      fail(`setting ${name} is not known${guess ? `; did you mean ${guess}?` : ` (known: ${known})`}`);
    }
  }
}
