import type { SystemHealth } from "@slipway/shared";
import type { Answer } from "./answer.ts";
import type { SettingsReader } from "./settings.ts";

/** A request over HTTP; certificates by path, for servers that ask for a client's. */
export interface HttpRequest {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly tls?: TlsPaths;
  /** A file whose first line is sent as the value of this header, and is never part of the evidence. */
  readonly secret?: { readonly header: string; readonly file: string };
}

export interface TlsPaths {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface RunOptions {
  /** Bound on this command, within that of the whole probe. */
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** How a probe asks. Every question and its answer become evidence; none throws. */
export interface Asker {
  run(argv: readonly string[], options?: RunOptions): Promise<Answer>;
  request(request: HttpRequest, options?: { readonly timeoutMs?: number }): Promise<Answer>;
  /** Before a question is asked again; false when the time is up. */
  pause(ms: number): Promise<boolean>;
}

export interface ProbeContext extends Asker {
  readonly settings: SettingsReader;
  /** Hosts about which a system that answers such questions itself is asked; empty: nobody asks. */
  readonly going: readonly string[];
  /** This host's name in Slipway. */
  readonly host: string;
}

/** Reads one system. What it throws is an unknown state. It changes nothing. */
export interface Probe {
  readonly system: string;
  ask(context: ProbeContext): Promise<SystemHealth>;
}
