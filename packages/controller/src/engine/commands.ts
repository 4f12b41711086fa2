import { nearest, SlipwayError } from "@slipway/shared";
import type { RunEvent, RunSpec } from "../domain/events.ts";
import { type HostRun, hostOf, type Run, stepInHand } from "../domain/run.ts";
import { steps } from "../domain/words.ts";
import { isQuestion } from "./reduce.ts";
import { pendingApproval } from "./rolling/approval.ts";

/** What an operator may tell a run. */
export type Command =
  | { readonly kind: "pause" | "resume" | "approve"; readonly reason: string }
  | { readonly kind: "abort"; readonly now: boolean; readonly reason: string }
  | { readonly kind: "retry" | "skip" | "mark-done" | "override"; readonly host: string; readonly reason: string };

/**
 * The events that a command means for a run in its present state. Errors: `refused` with the way out when the state does not
 * allow it, `not-found` for a host that is not in the run. Repeating a command that has taken effect is no error.
 */
export function commandEvents(run: Run, command: Command, who: string): RunEvent[] {
  const id = run.spec.run;
  const over = run.state === "ended";
  const { reason } = command;
  switch (command.kind) {
    case "pause":
      if (over) throw refused(`run ${id} has ended (${run.outcome})`, "there is nothing to pause");
      if (run.abort) throw refused(`run ${id} is being aborted`, "an abort cannot be paused");
      // A run that paused by itself still finishes what is in hand; an operator may want that stopped, too.
      return run.paused && !run.paused.finishes ? [] : [{ type: "run-paused", who, reason }];
    case "resume":
      if (over) throw refused(`run ${id} has ended (${run.outcome})`, "start a new one, or retry a host of it");
      if (!run.paused && run.held)
        throw refused(`run ${id} holds by itself: ${run.held.text}`, run.held.fix || "it goes on once that is settled");
      return run.paused ? [{ type: "run-resumed", who }] : [];
    case "approve":
      return approve(run, reason, who);
    case "abort":
      if (over) throw refused(`run ${id} has ended (${run.outcome})`, "there is nothing to abort");
      if (run.abort && (run.abort.now || !command.now)) return [];
      return [{ type: "run-abort", who, now: command.now, reason }];
    case "retry":
    case "skip":
    case "mark-done":
    case "override":
      return hostCommand(run, command, who);
  }
}

function approve(run: Run, reason: string, who: string): RunEvent[] {
  const { run: id, options } = run.spec;
  if (run.state === "ended") throw refused(`run ${id} has ended (${run.outcome})`, "there is nothing to approve");
  if (run.abort) throw refused(`run ${id} is being aborted`, "there is nothing to approve");
  const pending = pendingApproval(run);
  if (pending) return [{ type: "run-approved", who, wave: pending.wave, consents: pending.consents, reason }];
  if (run.approvedWave > 1) return [];
  throw refused(
    `run ${id} does not wait for an approval`,
    options.approve === "never" ? "it goes on by itself" : "it will when it has come to that point; see slipway show",
  );
}

function hostCommand(run: Run, command: Command & { host: string }, who: string): RunEvent[] {
  const id = run.spec.run;
  const host = hostOf(run, command.host);
  if (!host) {
    const near = nearest(
      command.host,
      run.hosts.map((h) => h.name),
    );
    throw new SlipwayError("not-found", `host ${JSON.stringify(command.host)}: not in run ${id}`, {
      fix: near ? `did you mean ${near}?` : "see slipway show",
    });
  }
  if (command.kind === "override") return override(run, host, command.reason, who);
  const action = command.kind as "retry" | "skip" | "mark-done";
  const event: RunEvent = { type: "host-command", host: host.name, action, who, reason: command.reason };
  if (run.abort && run.state !== "ended")
    throw refused(`run ${id} is being aborted`, "wait for its end, then retry the host");
  const inHand = stepInHand(host);
  if (action === "retry") {
    if (host.outcome !== "failed")
      throw refused(
        `${host.name} has not failed: it is ${host.outcome ?? (inHand ? steps[inHand.step].state : "waiting")}`,
        inHand
          ? "its verdict is still to come; skip or mark-done settle the host without it"
          : "only a failed host can be retried",
      );
    return run.state === "ended" ? [{ type: "run-reopened", who }, event] : [event];
  }
  if (host.outcome !== undefined && host.outcome !== "failed")
    throw refused(`${host.name} is ${host.outcome} already`, "there is nothing to settle");
  if (host.outcome === "failed" && run.state !== "ended" && run.state !== "rolling")
    throw refused(`${host.name} has failed and the run is ${run.state}`, "wait for its end");
  if (inHand && steps[inHand.step].by === "agent" && run.held?.subject !== host.name)
    throw refused(
      `${host.name} has ${inHand.step} in hand`,
      `wait for its end, or abort the run: slipway run abort --now ${id}`,
    );
  const reopened: RunEvent = { ...event, action: "retry", reason: `for ${action}` };
  if (host.outcome === "failed")
    return run.state === "ended" ? [{ type: "run-reopened", who }, reopened, event] : [reopened, event];
  return [event];
}

/** The gate's no is overridden for one step of one host; what the budget refuses is not the gate's. */
function override(run: Run, host: HostRun, reason: string, who: string): RunEvent[] {
  const inHand = stepInHand(host);
  if (reason.trim() === "")
    throw new SlipwayError("bad-input", `override of ${host.name}: there is no reason`, {
      fix: "say why it may go on all the same: --reason TEXT",
    });
  if (run.abort) throw refused(`run ${run.spec.run} is being aborted`, "there is nothing to override");
  if (!inHand || !isQuestion(inHand.step))
    throw refused(
      `${host.name} does not wait for a gate: it is ${host.outcome ?? (inHand ? steps[inHand.step].state : "waiting")}`,
      "gate, recheck and heal can be overridden",
    );
  if (host.gateReasons.length === 0)
    throw refused(
      `${host.name}: nothing denies its ${inHand.step}`,
      "it waits for an answer or for the budget, which cannot be overridden; see slipway why",
    );
  const { step, attempt } = inHand;
  return [{ type: "step-overridden", host: host.name, step, attempt, who, reason: reason.trim() }];
}

function refused(text: string, fix: string): SlipwayError {
  return new SlipwayError("refused", text, { fix });
}

/**
 * Two runs never work in one cluster: each would count its own hosts only.
 * Errors: `conflict`, naming the cluster and the run that is active there.
 */
export function refuseOverlap(spec: RunSpec, active: readonly Run[]): void {
  const clusters = new Set(spec.hosts.map((h) => h.cluster));
  for (const { spec: other } of active) {
    const shared = other.run === spec.run ? undefined : other.hosts.find((h) => clusters.has(h.cluster));
    if (shared)
      throw new SlipwayError(
        "conflict",
        `cluster ${shared.cluster}: run ${other.run}, started by ${other.startedBy}, is active there`,
        {
          fix: `wait for it (slipway watch ${other.run}) or abort it (slipway run abort ${other.run})`,
        },
      );
  }
}
