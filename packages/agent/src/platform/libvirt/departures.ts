import { type JobInfo, parseJob } from "./words.ts";

/** What libvirt's events tell of one migration that leaves this host. */
export interface Departure {
  /**
   * What it took, once libvirt has said that the guest's process here has ended because it has moved and has told the account of that;
   * undefined when it has not within `ms`.
   */
  left(ms: number): Promise<JobInfo | undefined>;
  /** Nobody asks any more. */
  close(): void;
}

/** virsh prints an event with its account at once; when as long as this nothing more has come, the account is whole. */
const QUIET_MS = 5;

interface Heard {
  isStopped: boolean;
  /** Lines of its account; whole when another line has followed, or nothing has for a while. */
  readonly account: string[];
  isWhole: boolean;
  tell: () => void;
}

/** Reads the output of `virsh event --all --loop` for migrations that are waited for, by the name of the guest. */
export class Departures {
  readonly #expected = new Map<string, Heard>();
  #rest = "";
  /** Whose account is being printed. */
  #open: Heard | undefined;
  #quiet: NodeJS.Timeout | undefined;

  hear(chunk: string): void {
    const lines = (this.#rest + chunk).split("\n");
    this.#rest = (lines.pop() ?? "").slice(-10_000);
    if (this.#expected.size > 0) for (const line of lines) this.#line(line);
    clearTimeout(this.#quiet);
    // An account is the last that libvirt tells of a migration: on a host that is otherwise quiet no line follows.
    if (this.#open !== undefined && this.#rest === "") this.#quiet = setTimeout(() => this.#close(), QUIET_MS);
  }

  /** To be called before it begins: what was heard earlier is about another one. */
  expect(name: string): Departure {
    let told = () => {};
    const done = new Promise<void>((resolve) => {
      told = resolve;
    });
    const heard: Heard = { isStopped: false, account: [], isWhole: false, tell: told };
    this.#expected.set(name, heard);
    return {
      left: async (ms) => {
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<void>((resolve) => {
          timer = setTimeout(resolve, ms);
        });
        await Promise.race([done, late]);
        clearTimeout(timer);
        return heard.isStopped && heard.isWhole ? accountOf(heard) : undefined;
      },
      close: () => {
        if (this.#expected.get(name) === heard) this.#expected.delete(name);
      },
    };
  }

  /** Whole lines are compared: a name is an operator's text and may look like anything. */
  #line(line: string): void {
    if (this.#open !== undefined && line.startsWith("\t")) {
      this.#open.account.push(line);
      return;
    }
    this.#close();
    for (const [name, heard] of this.#expected) {
      if (line === `event 'lifecycle' for domain '${name}': Stopped Migrated`) heard.isStopped = true;
      else if (line === `event 'job-completed' for domain '${name}':`) {
        heard.account.length = 0;
        heard.isWhole = false;
        this.#open = heard;
      } else continue;
      finish(heard);
      return;
    }
  }

  #close(): void {
    if (this.#open === undefined) return;
    this.#open.isWhole = true;
    finish(this.#open);
    this.#open = undefined;
  }
}

function finish(heard: Heard): void {
  if (heard.isStopped && heard.isWhole && accountOf(heard) !== undefined) heard.tell();
}

/** Undefined when it is about something else than a migration. */
function accountOf({ account }: Heard): JobInfo | undefined {
  const job = parseJob(`Job type: 3\n${account.join("\n")}`);
  return job.operation === "migrating-out" ? job : undefined;
}
