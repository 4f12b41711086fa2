import type { Course, Desk } from "../desk.ts";
import { Lanes } from "./admit.ts";
import { advanceHalt, type Halt } from "./halt.ts";
import { advanceMove } from "./move.ts";
import { type Op, opsOf } from "./ops.ts";

/** Takes everything on that is under way in the turn of the host; returns what is still open. */
export function advanceAll(desk: Desk, course: Course): readonly Op[] {
  const ops = opsOf(desk.host);
  const lanes = new Lanes(desk);
  for (const op of ops) {
    if (op.kind === "move") advanceMove(desk, op, course, lanes);
    else advanceHalt(desk, op as Halt, course);
  }
  return ops;
}

/** What an operator's word, or a deadline, means for what is under way. */
export function courseOf(desk: Desk, deadline: string | undefined): Course {
  const { abort, spec } = desk.run;
  const { directed } = desk.host;
  const givesUp = spec.options.forced || abort !== undefined || directed !== undefined;
  if (directed) {
    const why = `${directed.action} asked by ${directed.who}`;
    return { noMore: why, cancel: why, givesUp };
  }
  if (abort) {
    const why = `the run was aborted by ${abort.who}`;
    return { noMore: why, cancel: abort.now ? why : deadline, givesUp };
  }
  return { noMore: deadline, cancel: deadline, givesUp };
}
