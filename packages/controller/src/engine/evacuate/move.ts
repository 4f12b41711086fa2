import type { ActionRecord } from "../../domain/action.ts";
import type { Reason } from "../../domain/words.ts";
import type { Course, Desk } from "../desk.ts";
import type { Lanes } from "./admit.ts";
import { beginWhenFree } from "./begin.ts";
import { baseOf, isOpen, type Op, QUICK_MS, settleOp, startAction, whyNotDone } from "./ops.ts";
import { type MoveVerdict, type Side, settleMove } from "./settle-move.ts";
import { watchAction } from "./watch.ts";

/** Both sides are asked again after this long while they do not say where an instance is, in milliseconds. */
export const LOOK_EVERY_MS = 5_000;

/**
 * One migration, as a walk over its own actions:
 *
 *   admit (target) -> [a lane is waited for] -> move (source) -> done
 *     │                 │                      └ any other end -> look (source and target) until they say where it is
 *     │                 │                                         [-> discard a leftover]
 *     └ no              └ not to move any more -> withdraw (target)
 *
 * From the moment the move is recorded until it is settled nothing else touches the instance.
 */
export function advanceMove(desk: Desk, op: Op, course: Course, lanes: Lanes): void {
  for (const a of op.actions) if (isOpen(a)) watchAction(desk, op, a, course);
  const move = op.actions.findLast((a) => a.verb === "move");
  if (move === undefined) {
    beginWhenFree(desk, op, course, lanes);
    return;
  }
  if (isOpen(move)) return;
  const durationMs = move.result?.durationMs ?? 0;
  if (isClearlyDone(move)) {
    settleOp(desk, op, "moved", { durationMs });
    return;
  }
  findOut(desk, op, move, course);
}

/** The agent says done, and its platform does not show the instance running any more. */
function isClearlyDone({ result }: ActionRecord): boolean {
  if (result?.verdict !== "ok") return false;
  const { instance: look } = result;
  return look !== undefined && look.problem === "" && look.job === "" && (!look.present || look.state === "shutoff");
}

/** The move has ended otherwise than well, or its end is not known: both sides are asked. */
function findOut(desk: Desk, op: Op, move: ActionRecord, course: Course): void {
  const [source, target] = [lookOn(op, op.from, move), lookOn(op, op.to, move)];
  if (source === undefined || target === undefined) {
    if (source === undefined) look(desk, op, move, op.from);
    if (target === undefined) look(desk, op, move, op.to);
    return;
  }
  const canAnswer = (a: ActionRecord) => isOpen(a) && desk.fleet.host(a.on)?.connected === true;
  if (isOpen(source) || canAnswer(target)) {
    holdOn(desk, op, move);
    return;
  }
  const verdict = settleMove(sideOf(source), sideOf(target));
  const reason = whyNotDone(move);
  switch (verdict.kind) {
    case "moved":
      if (verdict.discard && !tidied(desk, op, op.from)) return;
      settleOp(desk, op, "moved", { durationMs: move.result?.durationMs ?? 0 });
      return;
    case "stayed":
      if (verdict.discard && !tidied(desk, op, op.to)) return;
      settleOp(desk, op, "stayed", { reason });
      return;
    case "off": {
      const at = verdict.at === "source" ? op.from : op.to;
      const how = verdict.crashed ? "it crashed" : "it shut down";
      settleOp(desk, op, "ended", { at, reason: `${how} while it was moved to ${op.to}` });
      return;
    }
    default:
      askAgain(desk, op, move, [source, target], verdict, course);
  }
}

/** While both sides are asked once more, what they said last still holds the run. */
function holdOn(desk: Desk, op: Op, move: ActionRecord): void {
  const [source, target] = [answerOn(op, op.from, move), answerOn(op, op.to, move)];
  if (source === undefined || target === undefined) return;
  const verdict = settleMove(sideOf(source), sideOf(target));
  if (verdict.kind === "lost" || verdict.kind === "doubled" || verdict.kind === "unknown")
    desk.unknown(unclear(desk, op, verdict));
}

/** The last answer of a side since the move ended. */
function answerOn(op: Op, on: string, move: ActionRecord): ActionRecord | undefined {
  const since = op.actions.indexOf(move);
  return op.actions.findLast((a, i) => i > since && a.verb === "look" && a.on === on && !isOpen(a));
}

/** The last look on a side since the move ended. */
function lookOn(op: Op, on: string, move: ActionRecord): ActionRecord | undefined {
  const since = op.actions.indexOf(move);
  return op.actions.findLast((a, i) => i > since && a.verb === "look" && a.on === on);
}

function sideOf(look: ActionRecord): Side {
  // An older agent, or one without a platform, says nothing of the instance: that is not known, never "absent".
  return look.result?.verdict === "ok" ? look.result.instance : undefined;
}

/**
 * A move that no agent has confirmed may still be on its way. The look tells its host a higher generation, below which the host
 * does nothing any more with the instance.
 */
function look(desk: Desk, op: Op, move: ActionRecord, on: string): void {
  const overtakes = move.abandoned !== undefined && move.acceptedT === undefined;
  const base = baseOf(op, QUICK_MS);
  startAction(desk, "look", on, op.uuid, { ...base, generation: op.generation + (overtakes ? 1 : 0) });
}

function askAgain(
  desk: Desk,
  op: Op,
  move: ActionRecord,
  looks: readonly [ActionRecord, ActionRecord],
  verdict: Exclude<MoveVerdict, { kind: "moved" | "stayed" | "off" }>,
  course: Course,
): void {
  const reason = unclear(desk, op, verdict);
  const isUnknown = verdict.kind !== "still-moving";
  if (isUnknown && course.givesUp) {
    settleOp(desk, op, "failed", { reason: reason.text });
    return;
  }
  if (isUnknown) desk.unknown(reason);
  desk.wait(reason);
  // One that is away is asked when it is back: that look is open already.
  const asked = looks.filter((a) => !isOpen(a));
  if (asked.length === 0) return;
  const last = Math.max(...asked.map((a) => a.endedT ?? a.startedT));
  if (desk.expired(last + LOOK_EVERY_MS)) for (const a of asked) look(desk, op, move, a.on);
}

function unclear(desk: Desk, op: Op, verdict: Exclude<MoveVerdict, { kind: "moved" | "stayed" | "off" }>): Reason {
  const { name, from, to } = op;
  const subject = desk.host.name;
  const settle = `slipway run skip ${desk.run.spec.run} ${subject}`;
  switch (verdict.kind) {
    case "still-moving":
      return {
        rule: "still-moving",
        subject,
        text: `instance ${name}: its migration from ${from} to ${to} is still under way`,
        fix: "",
      };
    case "lost":
      return {
        rule: "instance-lost",
        subject,
        text: `instance ${name} is neither on ${from} nor on ${to} after its migration; nothing was stopped by Slipway`,
        fix: `find it and define it again on one of them, or settle the host: ${settle}`,
      };
    case "doubled":
      return {
        rule: "instance-doubled",
        subject,
        text: `instance ${name} runs on ${from} and on ${to} at once; nothing is done to it`,
        fix: `end one of the two by hand at once, the one whose disks are not written; then the run goes on, or ${settle}`,
      };
    case "unknown": {
      const who = verdict.who.map((w) => (w === "source" ? from : to));
      return {
        rule: "instance-unknown",
        subject,
        text: `instance ${name}: its migration from ${from} to ${to} has no known end, and ${who.join(" and ")} cannot be asked`,
        fix: `bring ${who.join(" and ")} back, or settle the host: ${settle}`,
      };
    }
  }
}

/** Has what was left on a side been removed, or been tried to? Its failure is told and harms nothing. */
function tidied(desk: Desk, op: Op, on: string): boolean {
  const discard = op.actions.findLast((a) => a.verb === "discard" && a.on === on);
  if (discard === undefined) startAction(desk, "discard", on, op.uuid, baseOf(op, QUICK_MS));
  return discard !== undefined && !isOpen(discard);
}
