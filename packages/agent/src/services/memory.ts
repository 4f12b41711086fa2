import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeFileDurably } from "@slipway/shared/node";

/** What has to be known to put a service back as it was, over restarts and reboots. */
export interface ServiceMemory {
  /** The state in which it was found by the first stop since it was last started. */
  stopping(kind: string, name: string, state: "running" | "stopped"): void;
  wasStopped(kind: string, name: string): boolean;
  /** It is as it was; a note that was kept with it goes as well. */
  started(kind: string, name: string): void;
  /** Keeps a text with it, such as what was mounted. */
  note(kind: string, name: string, text: string): void;
  noted(kind: string, name: string): string | undefined;
}

/** One small file for each service and fact, below the agent's state directory. */
export class FileMemory implements ServiceMemory {
  readonly #dir: string;

  constructor(stateDir: string) {
    this.#dir = join(stateDir, "services");
  }

  stopping(kind: string, name: string, state: "running" | "stopped"): void {
    // A second stop finds what the first one did.
    if (this.#read(kind, name, "before") === undefined) this.#write(kind, name, "before", state);
  }

  wasStopped(kind: string, name: string): boolean {
    return this.#read(kind, name, "before") === "stopped";
  }

  started(kind: string, name: string): void {
    for (const fact of ["note", "before"]) rmSync(this.#file(kind, name, fact), { force: true });
  }

  note(kind: string, name: string, text: string): void {
    this.#write(kind, name, "note", text);
  }

  noted(kind: string, name: string): string | undefined {
    return this.#read(kind, name, "note");
  }

  #file(kind: string, name: string, fact: string): string {
    // Names are the pool file's: none may lead anywhere else.
    return join(this.#dir, `${encodeURIComponent(`${kind}:${name}`).replaceAll(".", "%2E")}.${fact}`);
  }

  #write(kind: string, name: string, fact: string, text: string): void {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    writeFileDurably(this.#file(kind, name, fact), text);
  }

  #read(kind: string, name: string, fact: string): string | undefined {
    try {
      return readFileSync(this.#file(kind, name, fact), "utf8");
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw thrown;
    }
  }
}
