import { randomBytes } from "node:crypto";
import type { agentWire } from "@slipway/shared/wire";
import type { Session } from "./session.ts";

/** The files of a hooks directory on their way to hosts. */
export interface HookSet {
  /** hookSetHash of the files. */
  readonly hash: string;
  readonly files: readonly { readonly name: string; readonly content: Uint8Array; readonly executable: boolean }[];
}

export interface PushAnswer {
  readonly host: string;
  /** The host has the files now. */
  readonly ok: boolean;
  /** False when it had them already. */
  readonly changed: boolean;
  /** Why it does not have them; empty when it does. */
  readonly problem: string;
  /** Where the files that were there before are now. */
  readonly replaced: string;
}

/** Sets that may be on their way at the same time: each is copied whole into the buffers of its stream. */
const AT_ONCE = 16;

interface Push {
  readonly set: HookSet;
  readonly nonce: bigint;
  readonly end: (answer: Omit<PushAnswer, "host">) => void;
  /** An agent went away with the set in its hands. */
  wasCut: boolean;
}

/**
 * Brings a set of hook files to hosts. Nothing is remembered across a restart and nothing has to be: the truth is the hash
 * that an agent tells of its own directory. An agent that goes away with a set in its hands is believed when it is back, and
 * gets the set again if it does not have it.
 */
export class PushDesk {
  readonly #session: (host: string) => Session | undefined;
  readonly #pushes = new Map<string, Push>();

  constructor(session: (host: string) => Session | undefined) {
    this.#session = session;
  }

  /** Brings the set to all hosts; answers in their order, each within `timeoutMs` of its turn. */
  async push(hosts: readonly string[], set: HookSet, timeoutMs: number): Promise<PushAnswer[]> {
    const answers = new Map<string, PushAnswer>();
    const waiting = hosts.values();
    const workers = Array.from({ length: Math.min(AT_ONCE, hosts.length) }, async () => {
      for (const host of waiting) answers.set(host, { host, ...(await this.#pushOne(host, set, timeoutMs)) });
    });
    await Promise.all(workers);
    return hosts.map((host) => answers.get(host) ?? { host, ...failed("not asked") });
  }

  #pushOne(host: string, set: HookSet, timeoutMs: number): Promise<Omit<PushAnswer, "host">> {
    if (this.#pushes.has(host)) return Promise.resolve(failed("another push to it is under way; wait for that one"));
    if (!this.#session(host)) return Promise.resolve(failed("its agent is not connected; start slipway-agent on it"));
    return new Promise((resolve) => {
      const push: Push = {
        set,
        nonce: BigInt(`0x${randomBytes(6).toString("hex")}`),
        wasCut: false,
        end: (answer) => {
          clearTimeout(timer);
          this.#pushes.delete(host);
          resolve(answer);
        },
      };
      const timer = setTimeout(() => {
        const why = push.wasCut ? "its agent went away before it answered" : `no answer within ${timeoutMs} ms`;
        push.end(failed(`${why}; see slipway hooks diff what it has now, then repeat the push`));
      }, timeoutMs);
      this.#pushes.set(host, push);
      this.#send(host, push);
    });
  }

  /** A host told what became of a push. */
  answered(host: string, answer: agentWire.HooksPushed, hash: string): void {
    const push = this.#pushes.get(host);
    if (!push || push.nonce !== answer.nonce) return;
    const { problem, changed, replaced } = answer;
    if (problem !== "") push.end(failed(problem.slice(0, 4_096)));
    else if (hash !== push.set.hash) push.end(failed(`it took the files, but its directory now has the hash ${hash}`));
    else push.end({ ok: true, changed, problem: "", replaced: replaced.slice(0, 4_096) });
  }

  /** A host is here, with a directory of this hash: anew, or back. */
  connected(host: string, hash: string): void {
    const push = this.#pushes.get(host);
    if (!push) return;
    if (hash === push.set.hash) push.end({ ok: true, changed: true, problem: "", replaced: "" });
    else this.#send(host, push);
  }

  disconnected(host: string): void {
    const push = this.#pushes.get(host);
    if (push) push.wasCut = true;
  }

  #send(host: string, { set, nonce }: Push): void {
    const files = set.files.map((file) => ({ ...file }));
    const bytes = files.reduce((sum, file) => sum + file.content.length, 0);
    this.#session(host)?.send({ message: { case: "pushHooks", value: { nonce, hash: set.hash, files } } }, bytes);
  }
}

function failed(problem: string): Omit<PushAnswer, "host"> {
  return { ok: false, changed: false, problem, replaced: "" };
}
