import type { Notifier } from "@slipway/shared/notifier";
import type { Link } from "../session/session.ts";
import type { StepRow } from "../steps/types.ts";

/** How often the status line is made anew, in milliseconds. */
const STATUS_EVERY_MS = 1_000;
/** How often the hooks are counted: each count reads their files. */
const HOOKS_EVERY_MS = 10_000;

/** What the status line is made of. */
export interface Condition {
  /** Undefined while the first attempt to connect goes on. */
  readonly link: Link | undefined;
  /** Wall clock of the last change between connected and not, in milliseconds. */
  readonly sinceMs: number;
  readonly inHand: readonly Pick<StepRow, "key" | "acceptedAtMs">[];
  readonly hooks: number;
  /** Why the hooks cannot be used, and why nothing can be written; empty when they and it can. */
  readonly hooksProblem: string;
  readonly trouble: string;
}

/** What an operator reads in `systemctl status slipway-agent`. */
export function statusLine(condition: Condition, nowMs: number): string {
  const { link, sinceMs, inHand, hooks, hooksProblem, trouble } = condition;
  const parts = [linkText(link, sinceMs)];
  if (trouble !== "") parts.push(`cannot keep its state: ${trouble}`);
  for (const { key, acceptedAtMs } of inHand)
    parts.push(`${key.step} of run ${key.run} in hand ${ageText(nowMs - acceptedAtMs)}`);
  parts.push(hooksProblem === "" ? `${hooks} hook${hooks === 1 ? "" : "s"}` : `no hooks: ${hooksProblem}`);
  return parts.join("; ");
}

function linkText(link: Link | undefined, sinceMs: number): string {
  if (link === undefined) return "connecting";
  if (link.state === "connected") return `connected to ${link.controller}`;
  // 2026-01-05 09:30, in the machine's time zone.
  const since = new Date(sinceMs).toLocaleString("sv-SE").slice(0, 16);
  const reason = link.reason.startsWith(link.controller) ? link.reason : `${link.controller}: ${link.reason}`;
  return `not connected since ${since}: ${reason}`;
}

/** In whole minutes from the first one on: each change of the line is a message. */
function ageText(ms: number): string {
  const minutes = Math.floor(Math.max(0, ms) / 60_000);
  if (minutes < 1) return "for less than 1m";
  return minutes < 60 ? `${minutes}m` : `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, "0")}m`;
}

export interface ReporterPorts {
  readonly notifier: Notifier;
  readonly inHand: () => Condition["inHand"];
  readonly hooks: () => { readonly problem: string; readonly hooks: readonly unknown[] };
  readonly trouble: () => string;
}

/** Tells the supervisor about a running agent. */
export class Reporter {
  readonly #ports: ReporterPorts;
  #link: Link | undefined;
  #sinceMs = 0;
  #hooks = { count: 0, problem: "" };
  #hooksDueMs = Number.NEGATIVE_INFINITY;
  #statusDueMs = Number.NEGATIVE_INFINITY;

  constructor(ports: ReporterPorts) {
    this.#ports = ports;
  }

  /** After the first attempt to connect, whatever came of it, the agent is ready: it does its work without a controller too. */
  linked(link: Link, wallMs = Date.now()): void {
    if (this.#link?.state !== link.state) this.#sinceMs = wallMs;
    this.#link = link;
    this.#statusDueMs = Number.NEGATIVE_INFINITY;
    this.#ports.notifier.ready();
  }

  /** After every round of the agent's work; that, and nothing else, feeds the watchdog. */
  ticked(monotonicMs = performance.now(), wallMs = Date.now()): void {
    const { notifier } = this.#ports;
    if (monotonicMs >= this.#statusDueMs) {
      this.#statusDueMs = monotonicMs + STATUS_EVERY_MS;
      notifier.status(this.#line(monotonicMs, wallMs));
    }
    notifier.watchdog();
  }

  #line(monotonicMs: number, wallMs: number): string {
    const { inHand, hooks, trouble } = this.#ports;
    if (monotonicMs >= this.#hooksDueMs) {
      this.#hooksDueMs = monotonicMs + HOOKS_EVERY_MS;
      const { hooks: found, problem } = hooks();
      this.#hooks = { count: found.length, problem };
    }
    let rows: Condition["inHand"] = [];
    let unreadable = "";
    try {
      rows = inHand();
    } catch (thrown) {
      unreadable = (thrown as Error).message;
    }
    const condition = {
      link: this.#link,
      sinceMs: this.#sinceMs,
      inHand: rows,
      hooks: this.#hooks.count,
      hooksProblem: this.#hooks.problem,
      trouble: trouble() || unreadable,
    };
    return statusLine(condition, wallMs);
  }
}
