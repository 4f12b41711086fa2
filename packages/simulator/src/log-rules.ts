import { type HostRun, type Recorded, type Run, type StepName, stepInHand } from "@slipway/controller/internals";

/** Which step may follow which in one attempt at a host; written down apart from the engine, to be compared with it. */
const follows: Record<StepName, readonly StepName[]> = {
  inspect: ["PreFlight", "PreMaintenance"],
  PreFlight: [],
  PreMaintenance: ["gate"],
  gate: ["cordon", "gate"],
  cordon: ["drain", "restore"],
  // Instances may have been started since, services being stopped already: then the host is drained anew, and that may fail.
  drain: ["Maintenance", "reboot", "services-start", "restore", "drain", "recheck", "services-stop"],
  // Asked again when its answer has grown old.
  recheck: ["services-stop", "services-start", "Maintenance", "reboot", "restore", "drain", "recheck"],
  "services-stop": ["Maintenance", "reboot", "services-start", "restore", "drain", "recheck"],
  move: [],
  // Directly again only after a reboot that the stage itself made, as it had announced.
  Maintenance: ["reboot", "recheck", "services-stop", "services-start", "heal", "restore", "drain", "Maintenance"],
  reboot: ["recheck", "services-stop", "Maintenance", "services-start", "heal", "restore", "drain"],
  "services-start": ["heal", "restore"],
  heal: ["restore"],
  restore: ["uncordon"],
  uncordon: ["PostMaintenance"],
  PostMaintenance: [],
};

/** Steps at which a host begins, or goes on after a retry or a settlement. */
const begins: readonly StepName[] = [
  ...["inspect", "Maintenance", "reboot", "services-start", "heal", "restore", "uncordon", "PostMaintenance"],
] as StepName[];
/** And in runs that do no maintenance. */
const beginsAlone: readonly StepName[] = ["gate", "restore", "move"];

const runFollows: Record<string, readonly string[]> = {
  preflight: ["rolling", "stopping", "undoing", "ended"],
  rolling: ["stopping", "undoing", "ended"],
  stopping: ["rolling", "undoing", "ended"],
  undoing: ["ended"],
  ended: ["preflight", "rolling"],
};

/** Rules that one event of a run's log must keep, given the run before and after it; the texts of those it breaks. */
export function brokenRules(before: Run | undefined, after: Run, { event, seq }: Recorded): string[] {
  if (before === undefined) return event.type === "run-started" && seq === 1 ? [] : ["a log begins with run-started"];
  const broken: string[] = [];
  const need = (holds: boolean, rule: string) => {
    if (!holds) broken.push(rule);
  };
  need(seq === before.lastSeq + 1, "sequence numbers have no gaps");
  if (before.state !== after.state)
    need(
      runFollows[before.state]?.includes(after.state) === true,
      `a run never goes ${before.state} => ${after.state}`,
    );
  if (before.state === "ended")
    need(
      ["run-reopened", "step-accepted", "step-ended", "action-accepted", "action-ended", "ledger-closed"].includes(
        event.type,
      ),
      `${event.type} after the end`,
    );
  if (!("host" in event)) {
    if (event.type === "run-ended") broken.push(...brokenAtEnd(after));
    return broken;
  }
  const was = before.hosts.find((h) => h.name === event.host);
  const is = after.hosts.find((h) => h.name === event.host);
  if (was === undefined || is === undefined) return [`host ${event.host} is not in the run`];
  switch (event.type) {
    case "step-started":
      broken.push(...brokenStart(before, was, event.step, event.attempt));
      break;
    case "step-accepted":
    case "step-ended": {
      const step = was.steps.find((s) => s.step === event.step && s.attempt === event.attempt);
      need(step !== undefined, `${event.type} of a step that was never started`);
      need(step?.result === undefined, `${event.step}: a second verdict`);
      if (event.type === "step-accepted") need(step?.acceptedT === undefined, `${event.step}: accepted twice`);
      break;
    }
    case "step-abandoned":
      need(stepInHand(was)?.step === event.step, `${event.step} given up without being in hand`);
      break;
    case "host-ended":
      need(was.outcome === undefined, "a second outcome");
      need(stepInHand(was) === undefined, "ended with a step in hand");
      need(
        !was.cordoned || event.outcome === "failed" || (before.spec.options.op === "drain" && event.code === "drained"),
        `${event.outcome} with an open ledger entry`,
      );
      break;
    case "ledger-opened":
      need(event.kind === "instance" || event.kind === "service" || !was.cordoned, "cordoned twice");
      break;
    case "host-command":
      need(event.action !== "retry" || was.outcome === "failed", "retry of a host that has not failed");
      break;
  }
  return broken;
}

function brokenStart(run: Run, host: HostRun, step: StepName, attempt: number): string[] {
  const broken: string[] = [];
  const need = (holds: boolean, rule: string) => {
    if (!holds) broken.push(`${step}: ${rule}`);
  };
  need(stepInHand(host) === undefined, "another step is in hand");
  need(host.outcome === undefined, "the host has ended");
  need(attempt === host.steps.filter((s) => s.step === step).length + 1, `attempt ${attempt}`);
  need(run.paused === undefined || (run.paused.finishes === true && host.began), "the run is paused");
  const last = host.steps.slice(host.from).at(-1);
  const undo = ["services-start", "heal", "restore", "uncordon"].includes(step);
  const { op } = run.spec.options;
  const first = op === "hooks" || op === "reboot" ? begins : [...begins, ...beginsAlone];
  // Instances may have been started on a host that had failed with its work; it is drained before the work is tried again.
  const isDrainedAgain = step === "drain" && host.cordoned && host.resumeAt !== undefined;
  // And it may have booted since, and run its services again.
  const isWorkedOnAgain =
    (step === "recheck" || step === "services-stop") && (host.resumeAt === "Maintenance" || host.resumeAt === "reboot");
  if (last === undefined) need(first.includes(step) || isDrainedAgain || isWorkedOnAgain, "nothing begins with it");
  else if (step === "restore" && host.cordoned) need(last.step !== "uncordon", "after uncordon");
  else if (!(step === "inspect" && last.step === "PreFlight"))
    need(follows[last.step].includes(step), `after ${last.step}`);
  const ok = last?.result?.verdict;
  // Withdrawn when its answer had grown old; then it is asked for anew.
  const isAskedAgain = last?.step === "services-stop" && step === "recheck";
  if (last !== undefined && !undo && last.step !== "gate" && !isAskedAgain)
    need(last.abandoned === undefined && (ok === "ok" || ok === "no-hook"), `after ${last.step} that did not succeed`);
  if (step === "Maintenance" && last?.step === "Maintenance")
    need(last.result?.rebootedAsAsked === true && last.result.requests.rerunAfterReboot, "twice without a reboot");
  if (step === "cordon") need(ok === "ok" || last?.step !== "gate", "the gate has not agreed");
  if (["cordon", "drain", "Maintenance", "reboot"].includes(step)) {
    need(host.cordoned, "without an open ledger entry");
    need(run.state === "rolling" || run.state === "stopping", `while the run is ${run.state}`);
  }
  if (step === "services-start" && last?.step === "drain")
    need(
      run.ledger.some((l) => l.kind === "service" && l.host === host.name && l.closedAt === undefined),
      "nothing has been stopped",
    );
  if (step === "uncordon" && host.directed === undefined && run.spec.options.onFailure === "cordoned") {
    const turn = host.steps.slice(host.steps.findLastIndex((s) => s.step === "cordon"));
    const work = turn.findLast((s) => s.step === "Maintenance" || s.step === "reboot");
    const verdict = work?.result?.verdict ?? "";
    // What an abort cut off is no failure of the host.
    need(work === undefined || ["ok", "no-hook", "cancelled"].includes(verdict), "its work has failed");
  }
  if (undo) need(host.cordoned || host.resumeAt === step || op === "restore", "nothing to undo");
  return broken;
}

function brokenAtEnd(run: Run): string[] {
  const broken: string[] = [];
  for (const host of run.hosts) {
    if (host.outcome === undefined) broken.push(`${host.name} has no outcome at the end`);
    if (stepInHand(host)) broken.push(`${host.name} has a step in hand at the end`);
    if (host.outcome === "failed" && host.reason === "") broken.push(`${host.name} failed without a reason`);
  }
  for (const { id, host: name, kind, subject, closedAt } of run.ledger) {
    const host = run.hosts.find((h) => h.name === name);
    if (closedAt !== undefined || host === undefined) continue;
    const isDrained = run.spec.options.op === "drain" && host.outcome === "updated";
    if (kind === "instance") {
      // What was stopped and does not run again is named, unless its host is meant to stay out.
      if (!isDrained && !host.cordoned && !host.notes.some((n) => n.subject === subject && n.rule === "not-started"))
        broken.push(`ledger entry ${id} is open at the end and nothing names the instance`);
      continue;
    }
    // An operator who uncordons a host by hand finds its services in the ledger.
    const isSettled = run.ledger.some((l) => l.host === name && l.note.startsWith("uncordoned by"));
    if (isDrained || (kind === "service" && isSettled && !host.cordoned)) continue;
    if (host.outcome !== "failed") broken.push(`ledger entry ${id} is open at the end and ${name} is ${host.outcome}`);
    else if (!host.reason.includes("cordoned"))
      broken.push(`ledger entry ${id} is open at the end and the outcome of ${name} does not name it`);
  }
  return broken;
}
