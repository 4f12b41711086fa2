import type { Asker } from "../probes/probe.ts";
import type { SettingsReader } from "../probes/settings.ts";

export interface ServiceContext extends Asker {
  /** The unit for systemd; empty where the kind needs none. */
  readonly name: string;
  readonly settings: SettingsReader;
  /** This host's name in Slipway. */
  readonly host: string;
  /** What it waits for, for those who watch. */
  readonly progress: (message: string) => void;
  /** What it did on the way and the run's log shall tell; the reason of a step that ends well. */
  readonly note: (text: string) => void;
}

/**
 * One kind of service of a host. Every method may be called any number of times; each throws an Error whose message says what is in
 * the way. None leaves a question open: what cannot be read is not done.
 */
export interface Service {
  readonly kind: string;
  /** What it is now, read anew. */
  state(context: ServiceContext): Promise<"running" | "stopped">;
  /** Guard, action and proof; called only while it runs. A refusal of the guard has changed nothing. */
  stop(context: ServiceContext): Promise<void>;
  /** Until it is well again; called also when it runs already. */
  start(context: ServiceContext): Promise<void>;
  /** Throws where it is not well. */
  check(context: ServiceContext): Promise<void>;
}

/** Between two looks at something that is waited for, in milliseconds. */
const LOOK_MS = 1_000;

/** Looks until `problem` finds none, or the time is up: then its last words are the reason. */
export async function until(context: ServiceContext, problem: () => Promise<string>): Promise<void> {
  for (;;) {
    const found = await problem();
    if (found === "") return;
    context.progress(found);
    if (!(await context.pause(LOOK_MS))) throw new Error(`${found}; the time is up`);
  }
}
