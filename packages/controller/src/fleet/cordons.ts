import type { Session } from "./session.ts";

interface CordonPorts {
  session(host: string): Session | undefined;
  /** Who holds a cordon on a host: run ids, or "operator". */
  holders(host: string): readonly string[];
  /** Why, for people. */
  reason(host: string): string;
}

/**
 * Tells agents whether their hosts take instances. Level, not edge: each session is told once what holds, and again whenever that
 * is something else; an agent whose picture still says something else is told once more.
 */
export class CordonMarks {
  readonly #ports: CordonPorts;
  /** What each session was told last. */
  readonly #told = new WeakMap<Session, string>();

  constructor(ports: CordonPorts) {
    this.#ports = ports;
  }

  /** Something may have changed for this host, or its session is new. */
  look(host: string): void {
    const session = this.#ports.session(host);
    if (!session) return;
    const holder = this.#ports.holders(host).join(",");
    if (this.#told.get(session) === holder) return;
    this.#told.set(session, holder);
    session.send({
      message: { case: "setCordon", value: { holder, reason: holder === "" ? "" : this.#ports.reason(host) } },
    });
  }

  /** An agent told which mark it keeps. */
  heard(host: string, cordonedBy: string): void {
    const session = this.#ports.session(host);
    if (!session || cordonedBy === this.#ports.holders(host).join(",")) return;
    this.#told.delete(session);
    this.look(host);
  }
}
