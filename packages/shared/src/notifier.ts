import { execFile } from "node:child_process";

/** Tells the supervisor how the service is. Every call returns at once and never throws. */
export interface Notifier {
  /** The service does its work from here on. Repeated calls change nothing. */
  ready(): void;
  /** One line for `systemctl status`; the same line again costs nothing. */
  status(text: string): void;
  /** A round of the service's work has ended. Call it often: it leads to a message a third of the watchdog's time after the last. */
  watchdog(): void;
  /** The service begins to stop. */
  stopping(): void;
}

/** For processes that nobody supervises. */
export const noNotifier: Notifier = { ready() {}, status() {}, watchdog() {}, stopping() {} };

/** Hands one message over; resolves when that is done, whatever became of it. */
export type Deliver = (assignments: readonly string[]) => Promise<void>;

/** systemd-notify waits up to 5 s by itself for an answer of the manager. */
const DEADLINE_MS = 8_000;
/** systemd cuts longer ones; an operator's terminal does as well. */
const STATUS_LENGTH = 300;

/**
 * The notifier for this process: systemd's where `NOTIFY_SOCKET` is set, else none.
 * `WATCHDOG_USEC` gives the watchdog's time; it only counts when `WATCHDOG_PID`, if set, names this process.
 */
export function createNotifier(env: NodeJS.ProcessEnv = process.env, deliver: Deliver = systemdNotify): Notifier {
  if (!env["NOTIFY_SOCKET"]) return noNotifier;
  const isOurs = !env["WATCHDOG_PID"] || env["WATCHDOG_PID"] === String(process.pid);
  const watchdogMs = isOurs ? Number(env["WATCHDOG_USEC"] ?? 0) / 1_000 : 0;
  return new SystemdNotifier(deliver, watchdogMs, () => performance.now());
}

/**
 * Sends as little as possible, as each message is a process: what becomes due while one is on its way goes out together
 * with the next, the newest status only.
 */
export class SystemdNotifier implements Notifier {
  readonly #deliver: Deliver;
  readonly #everyMs: number;
  readonly #nowMs: () => number;
  readonly #due = new Map<string, string>();
  #isSending = false;
  #isReady = false;
  #status = "";
  #fedMs = Number.NEGATIVE_INFINITY;

  /** `watchdogMs` is the time after which systemd gives the service up; 0 when it does not watch. */
  constructor(deliver: Deliver, watchdogMs: number, nowMs: () => number) {
    this.#deliver = deliver;
    this.#everyMs = watchdogMs > 0 ? watchdogMs / 3 : Number.POSITIVE_INFINITY;
    this.#nowMs = nowMs;
  }

  ready(): void {
    if (this.#isReady) return;
    this.#isReady = true;
    this.#say("READY", "1");
  }

  status(text: string): void {
    const line = text.replaceAll(/\s*[\r\n]+\s*/g, " ").slice(0, STATUS_LENGTH);
    if (line === this.#status) return;
    this.#status = line;
    this.#say("STATUS", line);
  }

  watchdog(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#fedMs < this.#everyMs) return;
    this.#fedMs = nowMs;
    if (this.#everyMs !== Number.POSITIVE_INFINITY) this.#say("WATCHDOG", "1");
  }

  stopping(): void {
    this.#say("STOPPING", "1");
  }

  #say(name: string, value: string): void {
    this.#due.set(name, value);
    if (!this.#isSending) void this.#send();
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    while (this.#due.size > 0) {
      const assignments = [...this.#due].map(([name, value]) => `${name}=${value}`);
      this.#due.clear();
      await this.#deliver(assignments);
    }
    this.#isSending = false;
  }
}

/**
 * systemd-notify, because Node has no datagram sockets for paths. As root it may speak in this process's name, so the unit
 * can have `NotifyAccess=main`; any other user needs `NotifyAccess=all`, and there the program has to live until systemd has
 * looked at the message, or systemd cannot tell which unit it came from.
 */
const systemdNotify: Deliver = (assignments) =>
  new Promise((resolve) => {
    const isRoot = process.getuid?.() === 0;
    const args = [`--pid=${process.pid}`, ...(isRoot ? ["--no-block"] : []), ...assignments];
    const options = { timeout: DEADLINE_MS, maxBuffer: 64 * 1024 } as const;
    // A message that is lost shows in systemd: the start or the watchdog times out.
    execFile("systemd-notify", args, options, () => resolve()).on("error", () => resolve());
  });
