import { durationText } from "@slipway/shared";
import type { Evacuee, Settlement } from "../domain/action.ts";
import type { Recorded } from "../domain/events.ts";
import { type HostRun, hostOf, type Run, stepInHand } from "../domain/run.ts";
import { type Reason, steps } from "../domain/words.ts";
import { describeAction } from "./describe-action.ts";
import { describeRolling } from "./describe-rolling.ts";
import { outcomeWord, pausedReason } from "./result.ts";
import { serviceName } from "./services/concern.ts";

/** One line of a run's log: what operators read, grep, and what the golden files compare. */
export interface Line {
  readonly subject: string;
  readonly text: string;
}

/** The state word of a host in a run. */
export function hostState(host: HostRun): string {
  if (host.outcome) return host.outcome;
  const inHand = stepInHand(host);
  if (inHand) return steps[inHand.step].state;
  return host.checked ? "checked" : "waiting";
}

/** The lines that an event means, given the run before and after it. Every change of state is `old => new (reason)`. */
export function describe(before: Run | undefined, after: Run, { event }: Recorded): Line[] {
  const run = `run ${after.spec.run}`;
  switch (event.type) {
    case "run-started": {
      const { hosts, options, startedBy } = event.spec;
      const clusters = new Set(hosts.map((h) => h.cluster)).size;
      return [
        {
          subject: run,
          text: `new => preflight (${hosts.length} ${plural("host", hosts.length)} in ${clusters} ${plural("cluster", clusters)}, started by ${startedBy}${options.forced ? ", forced" : ""})`,
        },
      ];
    }
    case "run-state":
      return [{ subject: run, text: `${before?.state} => ${event.to} (${event.reason})` }];
    case "run-ended":
      return [{ subject: run, text: `${before?.state} => ended: ${event.outcome} (${event.details})` }];
    case "run-paused":
      return [
        {
          subject: run,
          text: `paused by ${event.who}${tail(event.reason)}${event.finishes ? `; ${pausedReason(after).fix}` : ""}`,
        },
      ];
    case "run-resumed":
      return [{ subject: run, text: `resumed by ${event.who}${tail(event.reason ?? "")}` }];
    case "run-replanned":
    case "run-approved":
      return describeRolling(after.spec.run, event);
    case "run-held":
      return [{ subject: run, text: `holds: ${withFix(event.reason)}` }];
    case "run-released":
      return [{ subject: run, text: `goes on (${event.reason})` }];
    case "run-abort":
      return [{ subject: run, text: `abort${event.now ? " now" : ""} asked by ${event.who}${tail(event.reason)}` }];
    case "run-reopened":
      return [{ subject: run, text: `ended => ${after.state} (reopened by ${event.who})` }];
    case "host-command":
      return [{ subject: `host ${event.host}`, text: `${event.action} asked by ${event.who}${tail(event.reason)}` }];
    case "ledger-opened":
      return [
        {
          subject: entryName(after, event.id),
          text:
            event.kind === "instance" || event.kind === "service"
              ? `open: ${event.change} ${event.name} on ${event.host}, undone by ${event.undo}`
              : `open: ${event.change} ${event.host}, undone by ${event.undo}`,
        },
      ];
    case "ledger-closed":
      return [{ subject: entryName(after, event.id), text: `closed (${event.note})` }];
    case "gate-answered": {
      const subject = `host ${event.host}`;
      const reasons = event.reasons.map((r) => r.text).join("; ");
      return [
        ...(event.seen ?? []).map((text) => ({ subject, text: `${event.step} asked ${text}` })),
        { subject, text: `${event.step}: ${event.verdict}${reasons ? ` (${reasons})` : ""}` },
      ];
    }
    case "step-accepted":
    case "action-accepted":
      return [];
    case "action-started":
    case "service-action-started":
    case "action-ended":
    case "action-abandoned":
      return describeAction(before, event);
    case "instance-settled":
      return [{ subject: `instance ${event.name}`, text: settled(event) }];
    case "services-planned": {
      const names = event.services.map((s) => serviceName(s.service)).join(", ");
      return event.services.length === 0 ? [] : [{ subject: `host ${event.host}`, text: `services: ${names}` }];
    }
    case "service-settled": {
      const took = event.durationMs > 0 ? ` in ${durationText(event.durationMs)}` : "";
      const text =
        event.outcome === "failed" ? `not done (${event.reason})` : `${event.outcome}${took}${tail(event.reason)}`;
      return [{ subject: `service ${event.name}`, text: `${event.host}: ${text}` }];
    }
    case "step-overridden":
      return [{ subject: `host ${event.host}`, text: `${event.step} overridden by ${event.who}: ${event.reason}` }];
    case "evacuation-planned":
      return [{ subject: `host ${event.host}`, text: evacuation(event.instances) }];
    case "host-noted":
      return [{ subject: `host ${event.host}`, text: withFix(event.note) }];
    case "step-abandoned":
      return [{ subject: `host ${event.host}`, text: `${event.step} given up (${event.reason})` }];
    case "step-ended": {
      const r = event.result;
      // A quiet success shows in the next change of state.
      if (r.verdict === "ok" && (steps[event.step].by === "controller" || event.step === "inspect")) return [];
      const words = [
        r.verdict,
        r.exitCode !== undefined && r.exitCode !== 0 ? `exit ${r.exitCode}` : "",
        steps[event.step].by === "agent" &&
        event.step !== "inspect" &&
        r.verdict !== "no-hook" &&
        r.verdict !== "interrupted"
          ? durationText(r.durationMs)
          : "",
        r.verdict === "ok" || r.verdict === "no-hook" ? "" : r.reason,
        r.requests.rebootRequired ? "asks for a reboot" : "",
        r.requests.rerunAfterReboot ? "asks to run again after it" : "",
        r.bootIdBefore !== r.bootIdAfter ? `boot id ${short(r.bootIdBefore)} => ${short(r.bootIdAfter)}` : "",
        r.requests.message,
      ].filter((w) => w !== "");
      const late =
        before &&
        hostOf(before, event.host)?.steps.some(
          (s) => s.step === event.step && s.attempt === event.attempt && s.abandoned,
        );
      return [
        {
          subject: `host ${event.host}`,
          text: `${event.step} ended: ${words.join(", ")}${late ? " (too late to count)" : ""}`,
        },
      ];
    }
    case "step-started":
    case "host-checked":
    case "host-ended": {
      const old = before && hostOf(before, event.host);
      const now = hostOf(after, event.host);
      if (!old || !now) return [];
      const from = hostState(old);
      const { outcome } = now;
      const to = event.type === "host-ended" && outcome ? outcomeWord(outcome, after.spec.options.op) : hostState(now);
      const reason =
        event.type === "host-ended"
          ? event.reason
          : event.type === "step-started" && event.step !== "inspect" && event.attempt > 1
            ? `attempt ${event.attempt}`
            : "";
      return [
        {
          subject: `host ${event.host}`,
          text: `${lastState(old, from)} => ${to}${reason ? ` (${reason})` : ""}`,
        },
      ];
    }
  }
}

/** Instances are numbers to their platforms and names to people. */
function entryName(run: Run, id: string): string {
  const { kind, subject, name } = run.ledger.find((l) => l.id === id) ?? { kind: "cordon", subject: "", name: "" };
  return `ledger ${kind === "instance" && name !== "" ? id.replace(subject, () => name) : id}`;
}

/** Between two steps a host is still where its last step left it. */
function lastState(host: HostRun, state: string): string {
  const last = host.steps.at(-1);
  const idle = state === "checked" || state === "waiting";
  return idle && last && host.steps.length > host.from ? steps[last.step].state : state;
}

/** "12 instances: 10 to move, 1 to stop, 1 stays". */
function evacuation(instances: readonly Evacuee[]): string {
  const count = (how: Evacuee["how"]) => instances.filter((i) => i.how === how).length;
  const parts = [
    [count("move"), "to move"],
    [count("stop"), "to shut down"],
    [count("save"), "to save"],
    [count("stay"), "to leave"],
  ] as const;
  const words = parts.filter(([n]) => n > 0).map(([n, what]) => `${n} ${what}`);
  return `${instances.length} ${plural("instance", instances.length)}: ${words.join(", ")}`;
}

function settled({ from, to, outcome, reason, durationMs }: Settlement): string {
  const took = durationMs > 0 ? ` in ${durationText(durationMs)}` : "";
  const why = reason ? `: ${reason}` : "";
  switch (outcome) {
    case "moved":
      return `${from} => ${to} (moved${took})`;
    case "stayed":
      return `stays on ${from}, not moved to ${to} (${reason})`;
    case "failed":
      return `${from}: not done${why}`;
    case "ended":
      return `${from}: stopped by itself${why}`;
    case "resumed":
      return `${from}: runs on after its pause`;
    case "stopped":
    case "saved":
    case "started":
      return `${from}: ${outcome}${took}${why}`;
  }
}

const withFix = (r: Reason) => (r.fix ? `${r.text}; ${r.fix}` : r.text);
const plural = (word: string, n: number) => (n === 1 ? word : `${word}s`);
const tail = (reason: string) => (reason ? `: ${reason}` : "");
const short = (bootId: string) => bootId.slice(0, 8) || "unknown";
